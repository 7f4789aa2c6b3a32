"""One strategy a module: `pick(pool, budget, generator, *, options)` answers with `Picks`."""
