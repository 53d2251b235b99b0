"""The page's style sheet: paper and ink by day, the reverse by night; cards on a phone; black on white in print."""

STYLE = """
:root { --ground:#fbfaf7; --card:#ffffff; --ink:#23282d; --faint:#646b72; --line:#e2dfd7; --accent:#1f6f78; --warm:#b4552d; --tint:31,111,120; color-scheme:light dark }
@media (prefers-color-scheme:dark) { :root { --ground:#15181b; --card:#1c2023; --ink:#e4e2dc; --faint:#9da3a8; --line:#32373b; --accent:#7cc4c8; --warm:#e39a70; --tint:124,196,200 } }
* { box-sizing:border-box }
html { -webkit-text-size-adjust:100% }
body { margin:0; background:var(--ground); color:var(--ink); font:17px/1.6 Charter,"Iowan Old Style","Palatino Linotype",Georgia,"DejaVu Serif",serif }
main { max-width:76rem; margin:0 auto; padding:3.5rem 2rem 5rem }
h1,h2,h3 { font-weight:600; line-height:1.25; margin:0 }
h1 { font-size:1.15rem; color:var(--faint); font-weight:400; letter-spacing:.01em }
h2 { font-size:1.9rem; letter-spacing:-.01em; margin-top:3rem }
h3 { font-size:1.15rem; margin:3rem 0 .6rem }
p { margin:.6rem 0; max-width:44rem }
a { color:var(--accent) }
.conclusion { font-size:1.35rem; line-height:1.45; max-width:42rem; margin:1.1rem 0 1.2rem }
.scope,.notes,caption,figcaption,.small { color:var(--faint); font:.86rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif }
.notes { max-width:48rem; padding-left:1.1rem; margin:1rem 0 } .notes li { margin:.25rem 0 }
table { border-collapse:collapse; font:.9rem/1.4 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif; font-variant-numeric:tabular-nums lining-nums }
caption { text-align:left; padding:0 0 .6rem }
th { font-weight:500; color:var(--faint); text-align:left; vertical-align:bottom }
th,td { padding:.55rem .9rem .55rem 0; border-bottom:1px solid var(--line) }
thead th { font-size:.8rem; line-height:1.3 } tbody th { color:var(--ink) }
.number { text-align:right; white-space:nowrap }
.results { width:100%; margin-top:1.6rem } .results td,.results .name { vertical-align:middle }
.results .name strong { font-weight:600; display:block } .results .name span, .under { color:var(--faint); font-size:.8rem; display:block } .under { white-space:nowrap } .results .name { overflow-wrap:anywhere; min-width:12rem }
.results .big { font-size:1.12rem; white-space:nowrap; text-align:right } .results .plot { min-width:9rem; width:14%; padding-right:1.2rem }
.label,.pocket { display:none }
.forest { display:block; width:100%; max-width:260px; height:auto; overflow:visible; color:var(--ink) }
.forest .grid { stroke:var(--line) } .forest .zero { stroke:var(--faint) } .forest .span { stroke:currentColor; stroke-width:2 } .forest .end { stroke:currentColor; stroke-width:1.5 }
.forest circle { fill:currentColor } .forest text { fill:var(--faint); font-size:10px } .forest.better { color:var(--accent) } .forest.worse { color:var(--warm) }
.forest.cannot-tell { color:var(--faint) } .forest.cannot-tell circle { fill:var(--card); stroke:currentColor; stroke-width:1.6 } .forest.base { color:var(--faint) }
.verdict { display:block; font-size:.8rem; color:var(--faint) } .verdict.better { color:var(--accent) } .verdict.worse { color:var(--warm) }
.scroll { overflow-x:auto; -webkit-overflow-scrolling:touch; max-width:100% }
.matrix td.shade { background:rgba(var(--tint),calc(var(--share)*.42)); text-align:right; padding:.4rem .8rem; min-width:5.2rem; border-color:var(--ground) }
.matrix tbody th { border:0; position:sticky; left:0; background:var(--ground) } .matrix th { padding-right:1.2rem } .matrix thead th.number { max-width:7rem; white-space:normal; padding-right:.8rem } .matrix td { border-color:var(--ground) }
.cards { margin-top:.4rem } .cards th,.cards td { vertical-align:baseline } .cards thead th { vertical-align:bottom } .cards .words { white-space:normal; min-width:8rem; max-width:26rem } .cards tbody .name { min-width:9rem } .cards .words .verdict { display:inline; font-size:inherit }
.verdict.agrees { color:var(--accent) } .verdict.differs { color:var(--warm) } .wide { margin:1.2rem 0 1.6rem; max-width:58rem }
.pictures { display:grid; grid-template-columns:minmax(0,5fr) minmax(0,6fr); gap:1rem; align-items:start; margin:1rem 0 2.4rem }
figure { margin:0 } img { display:block; width:100%; height:auto; background:#fbfaf7; border:1px solid var(--line); border-radius:6px }
.how { display:grid; grid-template-columns:repeat(auto-fit,minmax(19rem,1fr)); gap:1.2rem 2.4rem; margin:1rem 0 0 } .how dt { font-weight:600 } .how dd { margin:0; font-size:.95rem; line-height:1.5 }
details { margin:1rem 0 } summary { cursor:pointer; color:var(--accent); font:.9rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif }
.choices td,.choices th { padding-top:.3rem; padding-bottom:.3rem; font-size:.84rem; vertical-align:top } .choices td { min-width:7rem; max-width:22rem; overflow-wrap:anywhere }
footer { margin-top:4rem; padding-top:1rem; border-top:1px solid var(--line) }
@media (max-width:62rem) { .results .extra { display:none } }
@media (max-width:44rem) {
  body { font-size:16px } main { padding:1.6rem 1.1rem 3rem } h2 { font-size:1.55rem; margin-top:2rem } .conclusion { font-size:1.16rem }
  .results, .results tbody { display:block } .results thead { display:none } .results caption { display:block }
  .results tr { display:grid; grid-template-columns:8.4rem 1fr; gap:.55rem .6rem; padding:.9rem 1rem; margin-bottom:.9rem; background:var(--card); border:1px solid var(--line); border-radius:8px }
  .results td,.results th { border:0; padding:0; text-align:left } .results .name { grid-column:1/-1; margin-bottom:.35rem } .results .plot { width:auto; min-width:0; padding:0; align-self:center }
  .results .big { text-align:left } .pocket { display:block } .results .plot[colspan] { grid-column:1/-1 } .results .extra { display:block; grid-column:1/-1; font-size:.84rem; color:var(--faint); text-align:left } .results .extra.none { display:none }
  .results .extra { margin-top:-.4rem } .results .plot + .extra { margin-top:0 } .results .extra .under { display:inline } .results .label { display:inline; color:var(--faint) } .results .big .label { display:block; font-size:.74rem }
  .cards, .cards tbody { display:block } .cards thead { display:none } .cards tr { display:block; padding:.7rem 1rem; margin-bottom:.7rem; background:var(--card); border:1px solid var(--line); border-radius:8px }
  .cards td, .cards th { display:block; border:0; padding:.08rem 0; text-align:left; white-space:normal } .cards .label { display:inline; color:var(--faint) } .cards .label::after { content:" " } .cards .words { max-width:none } .cards tbody .name { font-weight:600 } .cards td.number { display:inline-block; margin-right:1.1rem } .cards td.none, .cards td.number.none { display:none } .wide { overflow-x:auto } .wide img { width:auto; max-width:none; min-width:40rem }
  .forest { max-width:none } .pictures { grid-template-columns:1fr } .how { grid-template-columns:1fr }
}
@media print {
  :root { --ground:#fff; --card:#fff; --ink:#000; --faint:#444; --line:#ccc; --accent:#0d4c54; --warm:#7d3413; --tint:31,111,120 }
  body { font-size:10.5pt } main { max-width:none; padding:0 } .results tr, .cards tr, figure, .how > div { break-inside:avoid } .pictures,.matrix tr { break-inside:avoid } h2,h3,p.small,caption { break-after:avoid }
  td.shade { -webkit-print-color-adjust:exact; print-color-adjust:exact } a { color:inherit; text-decoration:none } .scroll { overflow:visible }
}
""".strip()  # noqa: E501
