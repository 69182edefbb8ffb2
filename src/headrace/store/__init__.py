"""Where everything is kept: four ports (`ports`) and the engines behind them.

`sqlite/` is the embedded engine, `memory/` its twin and the reference of the contract; one suite,
`tests/contract/`, drives both. May import `core` only; an engine never imports another engine, and
nothing here knows what a rule or a function is.
"""
