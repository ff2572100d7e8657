defmodule FlyDeployAgent.BirthsTest do
  use ExUnit.Case, async: true

  # In a VM of its own, with the smallest table of processes, whose places are soon used again and again.
  @program """
  alias FlyDeployAgent.Births
  sleeper = fn -> spawn(fn -> Process.sleep(:infinity) end) end

  for round <- 1..120, reduce: {[], 0} do
    {old, by_number} ->
      before = Births.list()
      many = Enum.random(0..30)
      test = self()
      # By several processes, and some end at once.
      for _ <- 1..3, do: spawn(fn -> for _ <- 1..many//1, do: send(test, {:born, sleeper.()}) end)
      for _ <- 1..Enum.random(1..5), do: spawn(fn -> :ok end)
      first = for _ <- 1..many//1, do: sleeper.()
      {born, known} = Births.born(before)
      second = for _ <- 1..3, _ <- 1..many//1, do: (receive do: ({:born, pid} -> pid))
      more = for _ <- 1..3, do: sleeper.()
      # As if these had not been looked at well.
      again = Enum.take(born, 2)
      {born_later, _} = known |> Births.forget(again) |> Births.born()
      born = born -- again
      all = first ++ second ++ more

      found = born ++ born_later

      unless all -- found == [] and first -- (born ++ again) == [] and Enum.uniq(found) == found and found -- before.pids == found,
        do: raise("round \#{round}: \#{inspect({known.newest, all, born, born_later})}")

      {kept, ended} = Enum.split(Enum.shuffle(all ++ old), 300)
      for pid <- ended do
        ref = Process.monitor(pid)
        Process.exit(pid, :kill)
        receive do: ({:DOWN, ^ref, _, _, _} -> :ok)
      end

      {kept, by_number + if(known.newest, do: 1, else: 0)}
  end
  |> elem(1)
  |> IO.inspect()
  """

  test "whoever is born is found, once, however often the VM's numbers were used" do
    ebin = :fly_deploy |> Application.app_dir("ebin")

    {told, 0} =
      System.cmd("elixir", ["--erl", "+P 1024", "-pa", ebin, "-e", @program], stderr_to_stdout: true)

    by_number = told |> String.trim() |> String.to_integer()
    # Each round has 5 to 130 numbers, so the first 1,024 end in one of the first.
    assert by_number in 5..100
  end
end
