"""Texts that try to run a script or to call home when a page shows them. Each sets `window.ran` or asks `CALLED`."""

CALLED = "http://127.0.0.1:9/called"
"""Nothing listens there; a request for it is enough to fail a test."""

PAYLOADS = (
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=2>",
    f"<img src={CALLED}>",
    f"![picture]({CALLED}?markdown)",
    "<svg onload=window.ran=3>",
    "<svg><script>window.ran=4</script></svg>",
    "<iframe srcdoc='<script>parent.ran=5</script>'></iframe>",
    f"<iframe src={CALLED}?frame></iframe>",
    "<details open ontoggle=window.ran=6>",
    "<input autofocus onfocus=window.ran=7>",
    "<video><source onerror=window.ran=8></video>",
    f"<link rel=stylesheet href={CALLED}?css>",
    f"<style>@import '{CALLED}?import'; body {{ background: url({CALLED}?style) }}</style>",
    f"<meta http-equiv=refresh content='0;url={CALLED}?meta'>",
    "<math><mi xlink:href='javascript:window.ran=9'>x</mi></math>",
    "<a href='javascript:window.ran=10' autofocus>click</a> [link](javascript:window.ran=10)",
    "${window.ran=11} {{constructor.constructor('window.ran=12')()}} {{{value}}} `${window.ran=13}`",
    "\"><img src=x onerror=window.ran=14> ' onmouseover='window.ran=15",
    '```html"><img src=x onerror=window.ran=16>\n</code></pre><script>window.ran=17</script>\n```',
    f"<object data={CALLED}?object></object><embed src={CALLED}?embed>",
    "<form action=javascript:window.ran=18><button autofocus onfocus=window.ran=19>x</button></form>",
    "[x](data:text/html,<script>opener.ran=20</script>) <base href=javascript:/a/-window.ran=21//>",
)
