"""Sphinx's settings for the site. docs/decisions.md says why it's Sphinx, MyST-NB and Furo."""

project = "podlab"
copyright = "the podlab authors"
html_title = "podlab"

extensions = ["myst_nb", "docs.site.terms"]
exclude_patterns = ["notebooks/manifests"]

# The pages show what is stored. Nothing is run.
nb_execution_mode = "off"
nb_mime_priority_overrides = [
    ("html", kind, at)
    for at, kind in enumerate(["image/svg+xml", "image/png", "text/html", "text/plain"])
]
nb_code_prompt_show = "Show what was measured"
nb_code_prompt_hide = "Hide what was measured"
myst_heading_anchors = 4
# `--dry-run` keeps both hyphens.
smartquotes = False
# CONTRIBUTING.md is linked, and needs no place in the navigation.
suppress_warnings = ["toc.not_included"]

html_theme = "furo"
html_favicon = "static/icon.svg"
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b4f8a",
        "color-brand-content": "#0a5a9c",
        "color-brand-visited": "#5b3f8c",
        "lab-code": "#f6f7f9",
        "lab-edge": "#d5dae0",
        "lab-tint": "#eef4fa",
        "lab-accent": "#0072b2",
        "lab-quiet": "#5a6470",
        "lab-picture": "none",
    },
    # Pictures are light cards. Turned round, with their hues kept, they are dark ones.
    "dark_css_variables": {
        "color-brand-primary": "#8cc8f5",
        "color-brand-content": "#8cc8f5",
        "color-brand-visited": "#c3aef0",
        "lab-code": "#1d2126",
        "lab-edge": "#3a424c",
        "lab-tint": "#17222d",
        "lab-accent": "#56b4e9",
        "lab-quiet": "#a3adb8",
        "lab-picture": "invert(0.91) hue-rotate(180deg)",
    },
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def give_captions_a_level(app, page, template, context, tree):
    """Furo says that a caption in the navigation is a heading, but not of which level."""
    context["furo_navigation_tree"] = context["furo_navigation_tree"].replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )


def setup(app):
    # Furo makes the navigation in the same event, at 500.
    app.connect("html-page-context", give_captions_a_level, priority=900)
