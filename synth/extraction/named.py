"""Names that messages carry as people write them: versions, platforms, parts of a product as its code and screens have.

Each kind is drawn from a small grammar, and a pattern finds whatever that grammar, or a person, writes. It draws no
sentence.
"""

from __future__ import annotations

import re
from random import Random

VERSION = re.compile(
    r"(?<![\w./#])v?\d+(?:\.\d+)+(?:[-+_ ]?(?:rc|beta|alpha|dev|pre|b|snapshot|nightly|\d{3,})[.\d]*)?"
    r"(?![\w.]*\w)(?!\s?(?:gb|mb|kb|gib|s|ms|sec|seconds|min|minutes|%|€|\$|kg|m|km|fps|x)\b)"
    r"|\bbuild \d{3,}\b|(?<![\w/])v\d{1,3}\b|\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,10}\b"
)
"""A version in folded text; a number with a unit behind it is none."""

_PHONES = (
    "Pixel 8", "Pixel 6a", "Pixel 7 Pro", "Samsung Galaxy S22", "Samsung A54", "Galaxy S10e", "Galaxy Tab S9",
    "Xiaomi Redmi Note 13", "Xiaomi Mi 11", "Huawei P30", "OnePlus 12", "OnePlus Nord 2", "Motorola G84", "Moto E7",
    "Sony Xperia 10", "Nokia G42", "Fairphone 5", "Oppo A78", "Realme 9", "Nothing Phone 2", "Fire HD 10",
)  # fmt: skip
_APPLE = (
    "iPhone 15 Pro", "iPhone SE", "iPhone 12 mini", "iPhone 14", "iPhone XR", "iPhone 11", "iPad Air", "iPad 9",
    "iPad Pro", "iPad mini 6", "iPhone", "iPad",
)  # fmt: skip
_SYSTEMS = (
    "Windows 11", "Windows 10", "Windows 10 22H2", "Windows 11 Pro", "Windows Server 2022", "Win 11", "Win10",
    "macOS Sonoma", "macOS 15.1 (M2)", "macOS 14.5", "macOS Ventura", "Mac OS 12.7", "Ubuntu 24.04",
    "Ubuntu 22.04 LTS", "Debian 12", "Fedora 41", "Arch Linux", "Linux Mint 21", "openSUSE Tumbleweed",
    "RHEL 9", "NixOS 24.05", "FreeBSD 14", "Linux", "Windows", "macOS",
)  # fmt: skip
_BROWSERS = ("Firefox", "Safari", "Chrome", "Edge", "Opera", "Brave", "Vivaldi", "Chromium", "Samsung Internet")
_MACHINES = (
    "Raspberry Pi 5", "Raspberry Pi 4", "Chromebook", "Apple Watch Series 9", "Lenovo ThinkPad T14", "Dell XPS 13",
    "Surface Pro 9", "MacBook Air M1", "MacBook Pro 2019", "Kindle", "Steam Deck", "Synology DS220+", "LG C2",
    "Fire TV", "Samsung TV", "Garmin Venu 3", "Nintendo Switch", "PS5", "Xbox Series X", "HP LaserJet M110",
    "Epson ET-2850", "Fritzbox 7590",
)  # fmt: skip
PLATFORM = re.compile(
    r"(?<!\w)(?:pixel \d+a?|samsung|galaxy|xiaomi|redmi|huawei|oneplus|motorola|moto [eg]\d*|xperia|nokia|fairphone"
    r"|oppo|realme|nothing phone|fire hd|fire tv|iphone|ipad|ipados|ios|android|windows|win ?1[01]|macos"
    r"|mac os|ubuntu|debian|fedora|arch linux|linux|opensuse|rhel|nixos|freebsd|firefox|safari|chrome|edge"
    r"|opera|brave|vivaldi|chromium|raspberry|chromebook|apple watch|thinkpad|dell xps|surface pro|macbook"
    r"|kindle|steam deck|synology|lg c2|garmin|nintendo|ps5|xbox|laserjet|epson|fritzbox)(?!\w)"
)
"""A device, system or browser in folded text."""


def _whole_names() -> re.Pattern[str]:
    named = sorted(map(re.escape, (*_PHONES, *_APPLE, *_SYSTEMS, *_BROWSERS, *_MACHINES)), key=len, reverse=True)
    numbered = rf"android \d+|ip(?:ad)?os \d+\.\d+|(?:{'|'.join(map(re.escape, _BROWSERS))}) \d+(?![.:]?\d)"
    return re.compile(rf"(?<!\w)(?:{numbered}|{'|'.join(named)})(?!\w)", re.IGNORECASE)


_WHOLE_NAMES = _whole_names()


def is_cut_short(platform: str, text: str) -> bool:
    """Whether a platform stands in a text only where the name goes on, in that line: `Windows` for `Windows 11`."""
    text = "\n".join(" ".join(line.split()) for line in text.casefold().splitlines())
    ends = [found.end() for found in re.finditer(rf"(?<!\w){re.escape(platform.casefold())}(?!\w)", text)]
    inside = {at for found in _WHOLE_NAMES.finditer(text) for at in range(found.start() + 1, found.end())}
    return bool(ends) and all(end in inside for end in ends)


def draw_platform(rng: Random) -> str:
    """A device, a system, a browser or two of them, as people write it."""
    kind = rng.randrange(10)
    if kind < 3:
        device, release = rng.choice(_PHONES), f"Android {rng.randrange(9, 17)}"
        plain = (device, device, release)
        joined = (f"{device}, {release}", f"{device} ({release})", f"{device} with {release}", f"{device} {release}")
        return rng.choice((*plain, *joined))
    if kind < 5:
        device, release = rng.choice(_APPLE), f"iOS {rng.randrange(15, 19)}.{rng.randrange(6)}"
        release = release.replace("iOS", "iPadOS") if device.startswith("iPad") else release
        return rng.choice(
            (device, device, release, f"{device}, {release}", f"{device} ({release})", f"{device} on {release}")
        )
    if kind < 7:
        browser, system = rng.choice(_BROWSERS), rng.choice(_SYSTEMS)
        numbered = f"{browser} {rng.randrange(90, 140)}"
        other = rng.choice([name for name in _BROWSERS if name != browser])
        return rng.choice(
            (browser, numbered, f"{numbered} on {system}", f"{browser}, {system}", f"{browser} and {other}")
        )
    return rng.choice(_SYSTEMS if kind < 9 else _MACHINES)


def draw_version(rng: Random) -> str:
    """A version as an issue names it: without the `v` before a dotted number."""
    major, minor, patch = rng.choice((0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 9, 12, 23)), rng.randrange(30), rng.randrange(15)
    kind = rng.random()
    if kind < 0.25:
        return f"{major}.{minor}" if major or minor else "1.0"
    if kind < 0.65:
        return f"{major}.{minor}.{patch}"
    if kind < 0.72:
        return f"{major}.{minor}.{rng.randrange(60)}.{rng.randrange(400)}"
    if kind < 0.79:
        mark = rng.choice(("-rc", "-beta", "-beta.", "-alpha.", "-rc.", "b"))
        return f"{major}.{minor}.{patch}{mark}{rng.randrange(1, 6)}"
    if kind < 0.86:
        return f"{rng.randrange(2019, 2027)}.{rng.randrange(1, 13)}" + rng.choice(("", f".{patch}"))
    if kind < 0.89:
        return f"{major}.{minor}.{patch}-{rng.randrange(100, 9999)}"
    if kind < 0.94:
        return f"{rng.randrange(1000, 99999)}"
    if kind < 0.97:
        return f"v{rng.randrange(1, 20)}"
    return f"{rng.choice('abcdef')}{rng.randrange(10)}{rng.getrandbits(20):05x}"


def written_version(version: str, rng: Random) -> str:
    """How a text writes a version: a dotted one sometimes with a `v`, a bare number as a build."""
    if version.isdigit():
        return f"build {version}"
    if version[0] == "v":
        return version
    if "." not in version:
        return rng.choice(("commit {v}", "rev {v}", "{v}")).format(v=version)
    return f"{rng.choice(('v', 'v', 'V', 'v. ', 'version '))}{version}" if rng.random() < 0.2 else version


_VERBS = (
    "parse", "load", "save", "get", "update", "render", "export", "fetch", "merge", "sync", "validate", "encode",
    "open",
)  # fmt: skip
_OBJECTS = (
    "config", "user", "orders", "rows", "image", "token", "cache", "session", "report", "invoice", "template",
    "index",
)  # fmt: skip
_FOLDERS = (
    "src", "lib", "core", "app", "api", "utils", "server", "cli", "pkg/store", "src/net",
)  # fmt: skip
_ENDINGS = (
    "py", "ts", "js", "go", "rs", "java", "c", "cpp", "yaml", "json", "toml", "sh",
)  # fmt: skip
_LABELS = (
    "Save", "Send", "Apply", "Next", "Pay now", "Export", "Sign up", "Refresh", "Add item", "Preview", "Archive",
    "Reply", "Download all", "Duplicate", "Publish", "Try again", "Submit", "Connect", "Pair", "Undo",
)  # fmt: skip
_MENUS = (
    "Settings", "Account", "Tools", "View", "Reports", "Team", "Billing", "Privacy", "Advanced", "Display",
    "Devices",
)  # fmt: skip
_TOOLS = (
    "build", "init", "migrate", "deploy", "lint", "watch", "serve", "pull", "install", "restore", "test",
)  # fmt: skip
_CONTROLS = (
    "button", "tab", "field", "panel", "menu", "dialog", "icon", "link", "checkbox", "dropdown", "slider", "widget",
)  # fmt: skip


def draw_identifier(rng: Random) -> str:
    """A part of a product as its code names it: a function, class, file, route, command or option."""
    verb, item, tool = rng.choice(_VERBS), rng.choice(_OBJECTS), rng.choice(_TOOLS)
    named, number = f"{verb}{item.capitalize()}", rng.randrange(1, 4)
    role = rng.choice(("Service", "Store", "View", "Client"))
    forms = (
        (f"{verb}_{item}()", f"{verb}_{item}", f"{named}()", named, f"{item}.{verb}()", f"{item.capitalize()}{role}"),
        (f"{rng.choice(_FOLDERS)}/{verb}_{item}.{rng.choice(_ENDINGS)}", f"{item}.{rng.choice(_ENDINGS)}"),
        (f"/api/{item}/{verb}", f"POST /{item}", f"GET /v{number}/{item}"),
        (f"{tool} --{item}", f"--{verb}-{item}", f"{item.upper()}_{verb.upper()}", f"{tool} command"),
        (f"{item}-worker", f"{item}-plugin", f"{item}-service", f"{verb}-{item}"),
    )
    return rng.choice(rng.choice(forms))


def draw_control(rng: Random) -> str:
    """A part of a product as its screen names it: a button, a tab, a path through menus."""
    label, control = rng.choice(_LABELS), rng.choice(_CONTROLS)
    menu, other = rng.choice(_MENUS), rng.choice(_MENUS)
    named = (f"{label} {control}", f"{menu} {control}", f'"{label}" {control}', f"'{label}' {control}")
    return rng.choice((*named, f"{menu} > {other}", f"{menu} page"))
