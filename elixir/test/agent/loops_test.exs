Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.LoopsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Loops, Stack, Versions}

  @source """
  defmodule T.Looping do
    def loop(n) do
      receive do
        {:get, from} -> send(from, {self(), n})
      end

      loop(n)
    end

    def once(n), do: [receive(do: ({:get, from} -> send(from, n)))]
  end
  """

  # What is told of a process that runs `function` of `source`, which becomes `new`.
  defp told(source, new, function \\ :loop) do
    old = Versions.beams(source)
    pairs = Versions.pairs(old, Versions.beams(new))
    {:module, T.Looping} = :code.load_binary(T.Looping, ~c"nofile", old[T.Looping])
    pid = spawn(T.Looping, function, [1])
    on_exit(fn -> Process.exit(pid, :kill) end)
    await(fn -> match?([{T.Looping, ^function, 1} | _], Stack.frames(pid)) end)
    {pid, Loops.findings(pairs, [{pid, [T.Looping]}])}
  end

  defp await(fun), do: unless(fun.(), do: Process.sleep(1) && await(fun))
  defp edited(source), do: String.replace(source, "{self(), n}", "{self(), n + 1}")

  test "a loop that calls itself by its name alone stays in the old code" do
    assert {pid, [%{name: "hidden_process", severity: :warn, subject: "T.Looping", pids: [pid]} = found]} =
             told(@source, edited(@source))

    assert found.detail =~ "loop/1 is run by #{inspect(pid)}"
    assert found.detail =~ "stays in the old code"
  end

  test "a loop that names its module runs the new code from its next turn on" do
    source = String.replace(@source, "    loop(n)", "    __MODULE__.loop(n)")
    assert {_pid, [%{detail: detail}]} = told(source, edited(source))
    assert detail =~ "runs the new code from its next turn on, with what it holds now"
  end

  test "one that only waits, and one whose own code does not change, are no loops to tell of" do
    assert {_pid, []} = told(@source, edited(@source), :once)
    other = String.replace(@source, "send(from, n)", "send(from, n + 1)")
    assert {_pid, []} = told(@source, other)
  end
end
