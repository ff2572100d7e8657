# What make soak-agent runs besides.
ExUnit.start(exclude: [:soak])
