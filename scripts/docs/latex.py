"""The formulas of the catalogue, which a terminal shows as they stand in cfg/losses/, as LaTeX for the page."""

from __future__ import annotations

import re

GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "η": "eta", "θ": "theta", "κ": "kappa"}
GREEK |= {"λ": "lambda", "μ": "mu", "ρ": "rho", "Δ": "Delta", "Ω": "Omega", "Σ": "sum"}
POWERS = {"²": "2", "¼": "1/4"}
SIGNS = {"·": r"\,", "~": r"\sim", "<-": r"\leftarrow", "->": r"\to", "‖": r"\,\|\,", ",": r",\;"}
CLOSING = {"(": ")", "|": "|"}
FUNCTIONS = {"exp", "ln", "log", "min"}
INDEXED = "wg|hg|sg|cw|ch|dx|dy|d1|d2|[A-Za-z]_[a-z]"  # w of G, ...; other small letters in a row are a word
WORD = rf"(?!(?:{INDEXED}|hh|ww|{'|'.join(FUNCTIONS)})(?![a-z]))[A-Za-z][a-z']+(?![A-Za-z(])"
TOKEN = re.compile(
    rf"(?P<phrase>{WORD}(?:,? {WORD})*)|(?P<index>{INDEXED})(?![A-Za-z])|(?P<name>[A-Za-z]{{2,}})"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<sign><-|->|\S)"
)
Token = tuple[str, str]


def latex(formula: str) -> list[str]:
    """LaTeX of each statement of a formula; two spaces part them."""
    return [_sequence(_tokens(part), "") for part in re.split(r"[,;]  ", formula)]


def _tokens(text: str) -> list[Token]:
    """Kind and text of every token, the first one last."""
    return [(str(match.lastgroup), match[0]) for match in TOKEN.finditer(text)][::-1]


def _sequence(tokens: list[Token], end: str) -> str:
    """All that comes before a closing sign, which is taken too."""
    parts = []
    while tokens and tokens[-1][1] != end:
        parts.append(_fraction(tokens))
    if end:
        tokens.pop()
    return " ".join(parts)


def _fraction(tokens: list[Token]) -> str:
    """A power, or one over another; a bracket around either of them says nothing that the bar does not."""
    value = _power(tokens)
    while _next_is(tokens, "/"):
        tokens.pop()
        value = rf"\frac{{{_bare(value)}}}{{{_bare(_power(tokens))}}}"
    return value


def _power(tokens: list[Token]) -> str:
    """An atom, and what it is raised to."""
    base = _atom(tokens)
    if _next_is(tokens, "^"):
        tokens.pop()
        return f"{base}^{{{_bare(_power(tokens))}}}"
    return f"{base}^{{{POWERS[tokens.pop()[1]]}}}" if _next_is(tokens, *POWERS) else base


def _atom(tokens: list[Token]) -> str:
    """A bracket, a name and the bracket of its arguments, words, a number or a sign."""
    kind, text = tokens.pop()
    if kind == "phrase":
        return rf"\text{{ {text} }}"
    if kind == "index":
        return f"{text[0]}_{{{text[-1]}}}"
    if kind == "name":
        name = rf"\{text}" if text in FUNCTIONS else rf"\mathrm{{{text}}}"
        return name + _atom(tokens) if _next_is(tokens, "(") else name
    if text in CLOSING:
        return rf"\left{text} {_sequence(tokens, CLOSING[text])} \right{CLOSING[text]}"
    if text in GREEK:
        letter = "\\" + GREEK[text]
        return f"{letter} {_power(tokens)}" if text == "Δ" and tokens and tokens[-1][1].isalnum() else letter
    return POWERS.get(text) or SIGNS.get(text, text)


def _bare(atom: str) -> str:
    """Take the brackets off, where an atom is one."""
    opening, closing = r"\left( ", r" \right)"
    return atom[len(opening) : -len(closing)] if atom.startswith(opening) and atom.endswith(closing) else atom


def _next_is(tokens: list[Token], *signs: str) -> bool:
    return bool(tokens) and tokens[-1][1] in signs
