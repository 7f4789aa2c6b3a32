// What every page does beyond showing: polls what is computed, asks before it acts, loads slow parts.
import { drawMap } from "./map.js";
import { askAgain } from "./pictures.js";

const BUSY_MS = 2000;
const CALM_MS = 10000;
const AGAIN_MS = 1000;
const TRIES = 80;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const number = new Intl.NumberFormat("en");

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Progress

function showProgress(part, progress) {
  const shown = {
    ...progress,
    time_left: progress.time_left && `${progress.time_left} left`,
    behind_time_left: progress.behind_time_left && `${progress.behind_time_left} left`,
    behind_percent: progress.behind ? progress.behind_percent : null,
    backtest_percent: progress.backtest ? progress.backtest_percent : null,
    may_backtest: !progress.backtest,
    is_going_on: !progress.is_paused,
  };
  for (const element of part.querySelectorAll("[data-live]")) {
    const value = shown[element.dataset.live];
    if (element.localName === "progress") {
      element.hidden = value === null;
      element.value = value ?? 0;
    } else setText(element, typeof value === "number" ? number.format(value) : (value ?? ""));
  }
  for (const row of part.querySelectorAll("[data-row]")) row.hidden = !shown[row.dataset.row];
}

function showNews(progress) {
  const news = document.querySelector("[data-news]");
  if (news) news.hidden = news.dataset.news === String(progress.round_number ?? "");
  const ended = document.querySelector("[data-ended]");
  if (ended) ended.hidden = ended.dataset.ended === progress.backtest_ended;
}

function showTasks(tasks) {
  for (const [id, { state, words, label }] of Object.entries(tasks)) {
    const task = document.querySelector(`[data-task="${id}"]`);
    if (!task) continue;
    task.className = `task ${state}`;
    setText(task.querySelector("[data-words]"), words);
    setText(task.querySelector("[data-label]"), label);
  }
}

async function poll(whole) {
  const said = document.getElementById("said");
  let etag = "";
  let phases = "";
  let pause = BUSY_MS;
  for (;;) {
    await wait(pause);
    if (document.hidden) {
      await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
    }
    try {
      const headers = etag ? { "If-None-Match": etag } : {};
      const reply = await fetch(whole.dataset.poll, { headers, cache: "no-store" });
      if (reply.status === 304) continue;
      if (!reply.ok) throw new Error(reply.statusText);
      etag = reply.headers.get("ETag") ?? "";
      const found = await reply.json();
      for (const part of document.querySelectorAll("[data-project]")) {
        const progress = found[part.dataset.project];
        if (progress) showProgress(part, progress);
      }
      const all = Object.values(found);
      for (const progress of all) {
        showNews(progress);
        showTasks(progress.tasks ?? {});
      }
      pause = all.some((progress) => progress.is_busy || progress.backtest) ? BUSY_MS : CALM_MS;
      // Only what changed in kind is said aloud, not each percent.
      const now = all.map((progress) => progress.phase).join(", ");
      if (phases && now !== phases && said) said.textContent = now;
      phases = now;
    } catch {
      pause = CALM_MS;
    }
  }
}

// What takes longer than a page

async function load(place) {
  const reply = await fetch(place.dataset.loads).catch(() => null);
  if (!reply?.ok) return setText(place, "This cannot be had now; load the page again.");
  place.innerHTML = await reply.text();
  const charts = place.querySelectorAll("[data-curve]");
  if (!charts.length) return;
  // The chart library is larger than everything else, and nothing waits for it.
  const { drawCurve } = await import("./curve.js");
  charts.forEach((chart) => drawCurve(chart, place));
}

// What the doctor finds

async function loadFindings(place) {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const reply = await fetch(place.dataset.findings).catch(() => null);
    if (reply?.status === 200) {
      place.innerHTML = await reply.text();
      return;
    }
    await wait(AGAIN_MS);
  }
  setText(place, "The doctor does not answer; python -m backend doctor tells what it finds.");
}

// Questions

async function ask(link) {
  const reply = await fetch(link.href).catch(() => null);
  // The browser says what is wrong.
  if (!reply?.ok) return location.assign(link.href);
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  const question = document.adoptNode(page.querySelector(".question"));
  // What the question's page links to is relative to that page.
  for (const form of question.querySelectorAll("form")) {
    form.action = new URL(form.getAttribute("action"), link.href);
  }
  const dialog = document.createElement("dialog");
  question.querySelector("h1").id = "question-title";
  dialog.setAttribute("aria-labelledby", "question-title");
  dialog.append(question);
  document.body.append(dialog);
  dialog.querySelector("[data-cancels]").addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    link.focus();
  });
  dialog.showModal();
}

function copy(button) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(text.textContent);
      setText(button, "Copied");
    } catch {
      // Browsers allow that on https and localhost alone.
      getSelection().selectAllChildren(text);
    }
  });
}

for (const image of document.querySelectorAll(".task img")) {
  askAgain(image);
  if (image.complete && !image.naturalWidth) image.src = image.src;
}
document.querySelectorAll("[data-poll]").forEach(poll);
document.querySelectorAll("[data-loads]").forEach(load);
document.querySelectorAll("[data-findings]").forEach(loadFindings);
document.querySelectorAll("[data-copies]").forEach(copy);
document.querySelectorAll("[data-map]").forEach(drawMap);
for (const link of document.querySelectorAll("[data-asks]")) {
  let isAsking = false;
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    if (isAsking) return;
    isAsking = true;
    await ask(link);
    isAsking = false;
  });
}
