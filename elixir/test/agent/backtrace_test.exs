defmodule FlyDeployAgent.BacktraceTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Backtrace

  # backtraces/record.exs records processes of modules with these names.
  defmodule Server do
    use GenServer
    def init(state), do: {:ok, state}
  end

  defmodule Statem do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(data), do: {:ok, :idle, data}
    def handle_event(_, _, _, _), do: :keep_state_and_data
  end

  for file <- Path.wildcard(Path.join(__DIR__, "backtraces/*.txt")) do
    @external_resource file
    otp = Path.basename(file, ".txt")

    recorded =
      for text <- file |> File.read!() |> String.split("=== ", trim: true), into: %{} do
        [name, text] = String.split(text, "\n", parts: 2)
        {name, text}
      end

    @recorded recorded

    test "OTP #{otp}: the callback module beside the state" do
      told =
        Map.new(@recorded, fn {name, text} -> {name, text |> Backtrace.parse() |> Backtrace.callback_in()} end)

      # Up to OTP 27 one that hibernates has no frames.
      asleep = fn callback -> if unquote(otp) in ["25", "26", "27"], do: nil, else: callback end

      assert told == %{
               "gen_server waits" => {:gen_server, Server},
               "gen_server is asked" => {:gen_server, Server},
               "gen_server deep inside of a callback" => {:gen_server, Server},
               "gen_server hibernates" => asleep.({:gen_server, Server}),
               "gen_server hibernates, is asked" => {:gen_server, Server},
               "gen_statem waits" => {:gen_statem, Statem},
               "gen_statem is asked" => {:gen_statem, Statem},
               "gen_statem hibernates" => asleep.({:gen_statem, Statem}),
               "gen_statem hibernates, is asked" => {:gen_statem, Statem},
               "Agent waits" => {:gen_server, Agent.Server},
               "Task waits for an Agent" => nil
             }
    end

    test "OTP #{otp}: the frames" do
      frames = for {mfa, _} <- Backtrace.parse(@recorded["gen_server deep inside of a callback"]), do: mfa
      assert length(frames) == 16
      assert {Server, :handle_call, 3} in frames
      assert List.last(frames) == {:proc_lib, :init_p_do_apply, 3}

      assert [{:gen_server, loop, _}, _] =
               for({mfa, _} <- Backtrace.parse(@recorded["gen_server waits"]), do: mfa)

      assert loop == :loop
    end
  end

  test "there are recordings" do
    assert Path.wildcard(Path.join(__DIR__, "backtraces/*.txt")) != []
  end

  test "a large process is not printed, a dead one has no frames" do
    large = spawn_link(fn -> [Enum.to_list(1..400_000), receive(do: (:go -> :ok))] end)
    await(fn -> Process.info(large, :status) == {:status, :waiting} end)
    assert Backtrace.frames(large) == nil
    assert Backtrace.callback(large) == nil

    {dead, ref} = spawn_monitor(fn -> :ok end)
    assert_receive {:DOWN, ^ref, _, _, _}
    assert Backtrace.frames(dead) == []
    assert Backtrace.callback(dead) == nil
  end

  defp await(fun, left \\ 1_000),
    do: fun.() || (left > 0 && (Process.sleep(1) && await(fun, left - 1))) || flunk("never happened")
end
