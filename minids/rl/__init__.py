"""How a model learns to reason: rewards by rule, advantages by group, and the loop of GRPO."""
