defmodule FlyDeployAgent.ImpactTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Impact

  @found %{name: "stale_struct", severity: :block, subject: "%T{}", detail: "is held"}

  defp names(findings), do: Enum.map(findings, & &1.name)

  test "what is found is told" do
    assert Impact.bounded(fn tell -> tell.([@found]) end, 60_000) == [@found]
  end

  test "what was found before the time was over is told, and that it was over" do
    findings =
      Impact.bounded(
        fn tell ->
          tell.([@found])
          Process.sleep(:infinity)
        end,
        3_000
      )

    assert ["not_compared", "stale_struct"] = findings |> names() |> Enum.sort()
  end

  # As the emulator ends a process that has used up its memory.
  test "so is what was found before it was killed" do
    findings =
      Impact.bounded(
        fn tell ->
          tell.([@found])
          Process.exit(self(), :kill)
        end,
        600_000
      )

    assert ["stale_struct", "not_compared"] = names(findings)
  end

  test "so is what was found before it failed" do
    findings =
      Impact.bounded(
        fn tell ->
          tell.([@found])
          raise "failed"
        end,
        60_000
      )

    assert ["stale_struct", "not_compared"] = names(findings)
  end
end
