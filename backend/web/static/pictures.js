// Small pictures: the backend makes a few at a time, the browser asks for the others again.

const AGAIN_MS = 1000;
const TRIES = 20;

export function askAgain(image, tries = 0) {
  image.addEventListener(
    "error",
    async () => {
      if (tries >= TRIES) return;
      await new Promise((done) => setTimeout(done, AGAIN_MS * (0.5 + Math.random())));
      if (!image.isConnected) return;
      askAgain(image, tries + 1);
      image.src = image.src;
    },
    { once: true },
  );
}
