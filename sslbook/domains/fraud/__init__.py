"""Fraud and risk: tables of events cut by time, and the cards, customers or policies they belong to."""

import lazy_loader

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "data"),
    submod_attrs={
        "aggregates": ["card_aggregates", "rarity"],
        "alerts": ["alert_outcomes", "alert_queue", "card_days", "card_precision_at_k", "money_saved"],
        "data": ["TransactionSplit", "Transactions", "cut_creditcard"],
        "methods": ["draw_findings", "event_codes"],
        "widgets": ["alert_budget_slider", "alert_report"],
    },
)
