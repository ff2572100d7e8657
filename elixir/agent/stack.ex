defmodule FlyDeployAgent.Stack do
  @moduledoc "What a process does, as its stack tells: it waits in the loop of a behaviour, hibernates, or is suspended."

  alias FlyDeployAgent.Backtrace

  # Functions that a caller runs; every other function of these modules runs in the server itself.
  @client ~w(call cast reply multi_call abcast send_request wait_response receive_response check_response start
    start_link start_monitor stop notify sync_notify add_handler add_sup_handler delete_handler swap_handler
    which_handlers call_dirty call_clean call1 rpc do_multi_call rec_nodes mc_send mc_recv mc_recv_tmo
    sync_send_event sync_send_all_state_event)a
  @loops %{gen_server: :gen_server, gen_statem: :gen_statem, gen_event: :gen_event, gen_fsm: :other}
  # current_stacktrace is cut at this depth unless the system flag backtrace_depth says otherwise.
  @depth 8

  @doc """
  The `{module, function, arity}` of every frame of a process, innermost first (of a large process only of the innermost); [] for a dead one.
  """
  @spec frames(pid) :: [mfa]
  def frames(pid) do
    case innermost(pid) do
      {frames, false} -> frames
      {frames, true} -> Backtrace.frames(pid) || frames
    end
  end

  @doc "The innermost frames, and whether there are more. It copies only names."
  @spec innermost(pid) :: {[mfa], more? :: boolean}
  def innermost(pid) do
    case Process.info(pid, [:current_stacktrace, :current_function]) do
      # A hibernated process has no stack, up to OTP 27.
      [current_stacktrace: [], current_function: {m, f, a}] -> {[{m, f, a}], false}
      [{_, stack} | _] -> {for({m, f, a, _} <- stack, do: {m, f, arity(a)}), length(stack) >= @depth}
      nil -> {[], false}
    end
  end

  defp arity(args) when is_list(args), do: length(args)
  defp arity(arity), do: arity

  @doc "Whether a process has been suspended, by whomever."
  @spec suspended?(pid) :: boolean
  def suspended?(pid), do: loop(frames(pid)) == :suspended

  @doc """
  In which behaviour's loop a process is: gen_server, gen_statem, gen_event or other; suspended, or nil. The innermost frame decides: a
  gen_server inside a call to another one waits in gen:do_call.
  """
  @spec loop([mfa]) :: atom | nil
  def loop(frames) do
    Enum.find_value(frames, fn
      {:sys, fun, _} when fun in [:suspend_loop, :suspend_loop_hib] -> :suspended
      {module, fun, _} when is_map_key(@loops, module) and fun not in @client -> @loops[module]
      _ -> nil
    end)
  end

  @doc "Whether it hibernates, and is in no loop (up to OTP 27)."
  @spec asleep?([mfa]) :: boolean
  def asleep?(frames), do: match?([{:erlang, :hibernate, _} | _], frames)

  @doc "Whether it is being started, and in no loop yet: it may wait for whatever it registers with."
  @spec registering?([mfa]) :: boolean
  def registering?(frames), do: Enum.any?(frames, &match?({:gen, :init_it, _}, &1))
end
