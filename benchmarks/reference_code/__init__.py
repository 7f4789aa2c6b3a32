"""Strategies of other projects, run on our arrays; none of their code is here."""
