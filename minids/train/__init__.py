"""How a model learns: losses as pure functions, schedules as functions of the step, one loop."""
