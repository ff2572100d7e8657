# Few counters, except where the migration that refuses every 500th needs more; any free port.
System.put_env("COUNTERS", "1000")
System.put_env("PORT", "0")

# A migration that raises is part of the tests; its crash report says nothing new.
ExUnit.start(capture_log: true)
{:ok, _apps} = Application.ensure_all_started(:counter)
