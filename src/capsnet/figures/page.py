"""The frame of `report.html`: its HTML and its style sheet, for screens wide and narrow, light and dark, and paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #5f5f5f; --paper: #fff; --line: #e2e2e2; --card: #f6f6f4;
  --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --soft: #a9a9a9; --paper: #16181b; --line: #34373c; --card: #1f2226; --accent: #6fbdf0; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 54rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.45rem; line-height: 1.25; margin: 0 0 1.25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.12rem; margin: 0 0 .6rem; }
section { margin: 0 0 2.4rem; }
p { margin: 0 0 .8rem; }
img { display: block; width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; background: #fff; }
.headline { background: var(--card); border-radius: 10px; padding: 1.1rem 1.2rem .4rem; }
.number { font-size: 2.9rem; font-weight: 700; line-height: 1.1; color: var(--accent); margin: 0 0 .8rem; }
.number span { font-size: 1rem; font-weight: 400; color: var(--soft); margin-left: .6rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.6rem, 1fr)); gap: .8rem 1.2rem;
  margin: 0 0 1.2rem; }
dt { font-size: .82rem; color: var(--soft); line-height: 1.3; }
dd { margin: .1rem 0 0; font-weight: 600; }
.notice { border-left: 4px solid var(--accent); padding: .3rem .8rem; background: var(--card); }
.scroll { overflow-x: auto; margin: 0 0 .9rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; }
.pairs th { width: 11rem; }
.pairs td { overflow-wrap: anywhere; }
pre { background: var(--card); border-radius: 6px; padding: .7rem .9rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font: .88rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
.gallery { border-top: 1px solid var(--line); }
details { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; padding: .45rem .2rem; font-weight: 600; overflow-wrap: anywhere; }
details .picture { margin: .3rem 0 1rem; }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: .92rem; margin-top: .5rem; }
.caution { border-left: 4px solid var(--line); padding: .1rem .8rem; margin: .8rem 0; }
.source { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
.picture { overflow-x: auto; }
footer { color: var(--soft); font-size: .85rem; }
@media screen and (max-width: 40rem) { .picture img { width: 40rem; max-width: none; } }
@media (max-width: 30rem) { .pairs th { width: 7.5rem; } .number { font-size: 2.3rem; } }
@media print {
  :root { --ink: #000; --soft: #444; --paper: #fff; --line: #ccc; --card: #f4f4f4; --accent: #0072b2; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  section, img, tr { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
<footer>Written by capsnet {version} from the run's folder.</footer>
</body>
</html>
"""
