"""When a page of the studio has nothing left to do: the one wait of all tests that look at one."""

from __future__ import annotations

from typing import Any

QUIET_MS = 600
SETTLED = """([scheme, quietMs]) => {
  const app = document.querySelector('[data-testid=stApp]');
  const unfinished = '[data-stale=true], [data-testid=stSkeleton], [data-testid=stStatusWidget]';
  const ends = (motion) => motion.effect?.getComputedTiming().endTime !== Infinity;
  const still = app?.dataset.testScriptState === 'notRunning'
    && (!scheme || getComputedStyle(app).colorScheme === scheme)
    && document.querySelector('h1, h2, h3, h4, h5, h6')
    && !document.querySelector(unfinished)
    && document.fonts.status === 'loaded'
    && !document.getAnimations().some((motion) => motion.playState === 'running' && ends(motion));
  window.stillSince = still ? window.stillSince ?? performance.now() : undefined;
  return still && performance.now() - window.stillSince >= quietMs;
}"""


def settled(page: Any, scheme: str | None = None, quiet_ms: int = QUIET_MS) -> None:
    """Once the script has ended, every element is drawn as it stays, and nothing has begun anew for `quiet_ms`.

    scheme: the page also shows its colours in it ("light", "dark").
    """
    page.evaluate("window.stillSince = undefined")
    page.wait_for_function(SETTLED, arg=[scheme, quiet_ms], polling=50, timeout=120_000)
