"""The look of the page: gradio's theme, and the style of the results."""

import string

import gradio as gr

# That of the report.
ACCENT = "#1f6f78"
DARK_ACCENT = "#16545b"
LIGHT_ACCENT = "#7cc4c8"
WARNING = "#b4552d"

# `!important` overrules gradio's own style. If gradio refuses an upload, it says why at the top of
# the page, and writes "Error" over the place of the upload, where no other file can then be chosen.
# The second line hides the latter.
_RULES = """
.html-container { padding:0 !important }
:is(#recording,#several) [data-testid=status-tracker]:has(.error) { display:none !important }
.examples { flex-wrap:wrap; gap:.5rem }
.examples button { flex:0 0 auto !important; width:auto !important; font-size:.9rem }
.columns { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(26rem,100%),1fr)) }
.columns { gap:1.5rem 2rem; align-items:start }
.columns > * { min-width:0 }
.shown { margin:0 0 .8rem; overflow-wrap:anywhere }
.problem { margin:0; padding:.7rem 1rem; border-left:4px solid $warning; overflow-wrap:anywhere }
.problem { background:var(--background-fill-secondary) }
.overview { margin-bottom:1.4rem }
.overview .scroll { overflow-x:auto }
.overview :is(th,td) { padding:.3rem 1rem .3rem 0; text-align:left; vertical-align:top }
.overview tbody th { min-width:7rem; max-width:16rem; font-weight:400; overflow-wrap:anywhere }
.parts { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr)) }
.parts { gap:1rem 2rem; align-items:start }
.parts > * { min-width:0 }
.prediction h2 { margin:0 0 1rem; padding-bottom:.3rem; font-size:1rem; font-weight:400 }
.prediction h2 { border-bottom:1px solid var(--border-color-primary); overflow-wrap:anywhere }
.prediction h3 { margin:1.4rem 0 .3rem; font-size:1rem; font-weight:600 }
.prediction .words { margin:0 0 .6rem; font-size:1.6rem; font-weight:600; line-height:1.25 }
.prediction .words { overflow-wrap:anywhere }
.prediction table { width:100%; table-layout:fixed; border-collapse:collapse }
.prediction table { font-variant-numeric:tabular-nums }
.prediction caption { padding-bottom:.3rem; text-align:left }
:is(.prediction,.overview) :is(table,tr,th,td) { border:0 !important }
.prediction :is(th,td) { padding:.14rem 0 }
.prediction th { width:35%; padding-right:.8rem !important; font-weight:400; text-align:left }
.prediction th { overflow-wrap:break-word }
.prediction tr:first-child th { font-weight:600 }
.prediction .bar span { display:block; height:.8rem; min-width:1px; border-radius:2px }
.prediction .bar span { background:$accent }
.dark .prediction .bar span { background:$light_accent }
.prediction .number { width:4.6rem; padding-left:.8rem; text-align:right; white-space:nowrap }
.prediction figure { margin:0 0 1.4rem }
.prediction figure h3 { margin-top:0 }
.prediction figcaption { margin-top:.3rem; font-size:.95rem }
.prediction img { display:block; width:100%; height:auto; border-radius:6px }
.downloads { display:flex; flex-wrap:wrap; gap:.3rem 1.2rem; margin:.8rem 0 0 !important }
.downloads { padding:0 !important; list-style:none !important }
.downloads :is(li,a) { margin:0 !important; padding:0 !important }
@media (max-width:40rem) {
.overview thead { display:none }
.overview :is(table,tbody,tr,th,td) { display:block; max-width:none }
.overview tbody th { padding-bottom:0; font-weight:600 }
.overview td[data-model]::before { content:attr(data-model) ": " }
}
.card h3 { margin:0 0 .3rem; font-size:1rem; overflow-wrap:anywhere }
.card dl { display:grid; grid-template-columns:max-content 1fr; gap:.25rem 1.2rem }
.card dl { margin:.6rem 0 0 }
.card dt { font-weight:600 }
.card dd { margin:0; overflow-wrap:anywhere }
.card summary { margin-top:.5rem; cursor:pointer }
.card pre { max-height:24rem; overflow:auto; font-size:.8rem }
"""
STYLE = string.Template(_RULES).substitute(
    accent=ACCENT, light_accent=LIGHT_ACCENT, warning=WARNING
)


def theme() -> gr.themes.Base:
    """Returns a theme with the report's colour and system fonts, so that no font is downloaded."""
    theme = gr.themes.Default(
        primary_hue="teal",
        neutral_hue="stone",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    )
    return theme.set(
        button_primary_background_fill=ACCENT,
        button_primary_background_fill_hover=DARK_ACCENT,
        button_primary_text_color="white",
        button_primary_background_fill_dark=ACCENT,
        button_primary_background_fill_hover_dark=DARK_ACCENT,
        button_primary_text_color_dark="white",
        slider_color=ACCENT,
        slider_color_dark=LIGHT_ACCENT,
    )
