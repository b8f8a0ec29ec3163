"""Strings that try to run script in a page: each must stay text. Built from parts, so that all their pairs are tried."""
import itertools

RUN = "window.__run=1"

TAGS = [
    "<script>{0}</script>", "<SCRIPT>{0}</SCRIPT>", "<scr<script>ipt>{0}</scr</script>ipt>", "<script src=data:text/javascript,{0}></script>",
    "<img src=x onerror={0}>", "<img src=x onerror=\"{0}\">", "<img/src=x/onerror={0}>", "<IMG SRC=x OnErRoR={0}>", "<img src=x:x onerror\n={0}>",
    "<svg onload={0}>", "<svg><script>{0}</script></svg>", "<svg><animate onbegin={0} attributeName=x dur=1s>", "<svg><a xlink:href=javascript:{0}><text y=9>x</text></a></svg>",
    "<svg><use href=\"data:image/svg+xml,<svg id=x onload={0}>#x\">", "<svg><foreignObject><img src=x onerror={0}></foreignObject></svg>",
    "<svg><style><img src=x onerror={0}></style></svg>", "<math><mtext><table><mglyph><style><img src=x onerror={0}>",
    "<math><mi//xlink:href=\"javascript:{0}\">x</mi></math>", "<math><annotation-xml encoding=\"text/html\"><img src=x onerror={0}></annotation-xml></math>",
    "<iframe src=javascript:{0}></iframe>", "<iframe srcdoc=\"<script>parent.{0}</script>\"></iframe>", "<object data=javascript:{0}></object>",
    "<embed src=javascript:{0}>", "<form action=javascript:{0}><button>x</button></form>", "<button formaction=javascript:{0}>x</button>",
    "<input autofocus onfocus={0}>", "<select autofocus onfocus={0}>", "<textarea autofocus onfocus={0}>", "<details open ontoggle={0}>x</details>",
    "<video><source onerror={0}></video>", "<audio src=x onerror={0}>", "<body onload={0}>", "<marquee onstart={0}>x</marquee>", "<base href=javascript:{0}//>",
    "<link rel=stylesheet href=data:,*%7bx:expression({0})%7d>", "<style>@import 'javascript:{0}';</style>", "<meta http-equiv=refresh content=\"0;url=javascript:{0}\">",
    "<template><img src=x onerror={0}></template>", "<noscript><p title=\"</noscript><img src=x onerror={0}>\">", "<xmp><img src=x onerror={0}></xmp>",
    "<a href=javascript:{0}>x</a>", "<a href=\"  jav&#x09;ascript:{0}\">x</a>", "<a href=data:text/html,<script>{0}</script>>x</a>", "<div style=\"background:url(javascript:{0})\">x</div>",
    "<p id=x tabindex=1 onfocus={0}>x</p>", "<x onclick={0}>x</x>", "<br onmouseover={0}>", "<sub onclick={0}>x</sub>", "<b onpointerenter={0}>x</b>", "<!--><img src=x onerror={0}>-->",
    "<![CDATA[<img src=x onerror={0}>]]>", "<?xml <img src=x onerror={0}>?>", "<isindex type=image src=1 onerror={0}>", "<dialog open onclose={0}>x</dialog>",
]
LINKS = [
    "[x](javascript:{0})", "[x](JaVaScRiPt:{0})", "[x]( javascript:{0})", "[x](<javascript:{0}>)", "[x](javascript&colon;{0})", "[x](&#106;avascript:{0})",
    "[x](java\tscript:{0})", "[x](vbscript:{0})", "[x](data:text/html,<script>{0}</script>)", "[x](data:text/html;base64,PHNjcmlwdD53aW5kb3cuX19ydW49MTwvc2NyaXB0Pg==)",
    "![x](javascript:{0})", "![x](x\" onerror=\"{0})", "![x\" onerror=\"{0}](http://127.0.0.1:9/)", "[x](http://127.0.0.1:9/\" onclick=\"{0})", "[x](http://127.0.0.1:9/ \"' onclick='{0}\")",
    "<javascript:{0}>", "[x]: javascript:{0}\n\n[x]", "[x]: <javascript:{0}> \"t\"\n\n[x][]", "[<img src=x onerror={0}>](http://127.0.0.1:9/)", "http://127.0.0.1:9/\"onclick=\"{0}",
    "[x](\x01javascript:{0})", "[x](\u00a0javascript:{0})", "[x](file:///etc/passwd)", "[x](blob:{0})", "[a](javascript:%{0})",
]
MATH = [
    "$\\href{{javascript:{0}}}{{x}}$", "$$\\href{{javascript:{0}}}{{x}}$$", "$\\url{{javascript:{0}}}$", "$\\htmlClass{{x\" onclick=\"{0}}}{{y}}$", "$\\htmlStyle{{background:url(javascript:{0})}}{{y}}$",
    "$\\htmlData{{x={0}}}{{y}}$", "$\\includegraphics[height=1em]{{javascript:{0}}}$", "$\\text{{<img src=x onerror={0}>}}$", "\\(<img src=x onerror={0}>\\)", "\\[</annotation></semantics></math><img src=x onerror={0}>\\]",
    "$\\def\\x{{\\x\\x}}\\x {0}$", "$\\style{{x}}{{<script>{0}</script>}}$", "$$\\begin{{matrix}}<svg onload={0}>\\end{{matrix}}$$", "$\\unicode{{<img src=x onerror={0}>}}$",
]
PLACES = [
    "{0}", "text {0} text", "# {0}", "> {0}", "- {0}", "1. {0}", "| a | b |\n|---|---|\n| {0} | x |", "**{0}**", "`{0}`", "```\n{0}\n```", "```{0}\ncode\n```", "~~~html\n{0}",
    "<details>\n\n{0}\n\n</details>", "<b>{0}</b>", "<div>{0}</div>", "[{0}](http://127.0.0.1:9/)", "![{0}](http://127.0.0.1:9/)", "$x$ {0} $y$", "- [ ] {0}", "~~{0}~~",
]


def corpus():
    """At least 500 different strings."""
    attacks = [attack.format(RUN) for attack in TAGS + LINKS + MATH]
    strings = list(attacks)
    # Every place meets every tag in turn, and each tag at least eight places.
    for index, (tag, turn) in enumerate(itertools.product(attacks, range(8))):
        strings.append(PLACES[(index + turn) % len(PLACES)].replace("{0}", tag))
    return list(dict.fromkeys(strings))
