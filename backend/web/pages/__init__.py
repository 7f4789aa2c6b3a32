"""The admin's pages: HTML from the journal, live while something is computed.

- `contexts.py`: what each page shows, a type a template; `rendering.py` is the one way to render.
- `home.py`, `project.py`, `batch.py`, `pool_map.py`, `progress.py` fill them from the journal.
- `wording.py`: phases, times, and why a task was chosen, in words.
- `views.py` shows, `actions.py` changes; `forms.py` is what may be sent, `safety.py` who may.
- `thumbnails.py` and `examinations.py`: what takes longer than a page may, bounded and kept.
"""
