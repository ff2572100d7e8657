# What make soak-agent runs besides. A slow computer may need long for a message that a test waits for, and for a second VM.
ExUnit.start(exclude: [:soak], assert_receive_timeout: 10_000, timeout: 600_000)
