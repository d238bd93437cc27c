"""How state, events, messages and files travel: five small ports and the engines behind them."""
