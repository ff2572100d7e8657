defmodule FlyDeployAgent.OnTrial do
  @moduledoc """
  An upgrade on trial: nobody has recorded it. Unless it is confirmed in time the VM stops, in good order, with an exit status that is a
  failure to every restart policy but "no": so the machine starts again, in the code of its image, or in what is recorded for it.

  The VM keeps the trial, not the agent: the timers are OTP's, and what is known of them lies in the application environment, as
  `FlyDeployAgent.Fence` has it. It holds where agent and console are gone, and ends with the VM. trial.exs reads it and confirms it.
  """

  @app :flydeploy
  @key :trial
  @status 1
  # So that the log has said why.
  @told_ms 500
  # An application that does not stop is ended so long after.
  @patience_ms 60_000
  @why ~c"flydeploy: nobody has confirmed the upgrade that was on trial. This machine restarts without it."

  @typedoc """
  `id` – the deploy's; `until_ms` – when it ends, in milliseconds since the Unix epoch; `timers` – see `:timer`; `stop` – the
  function that ends the VM.
  """
  @type t :: %{id: binary, version: binary, until_ms: integer, timers: [term], stop: call}
  @type call :: {module, atom, [term]}

  @doc """
  An order's upgrade was committed: an earlier trial in this VM is over, and the order's begins, if it is for one.
  """
  @spec committed(FlyDeployAgent.Order.t(), stop :: call) :: any
  def committed(order, stop \\ {:init, :stop, [@status]}) do
    forget()
    if order.trial_ms, do: start(order, stop)
  end

  defp start(order, stop) do
    timers =
      for {ms, {module, function, arguments}} <- [
            {order.trial_ms, {:logger, :warning, [@why]}},
            {order.trial_ms + @told_ms, stop},
            {order.trial_ms + @patience_ms, {:erlang, :halt, [@status]}}
          ],
          {:ok, timer} <- [:timer.apply_after(ms, module, function, arguments)],
          do: timer

    Application.put_env(@app, @key, %{
      id: order.fence || order.id,
      version: order.version,
      until_ms: clock() + order.trial_ms,
      timers: timers,
      stop: stop
    })
  end

  @doc "Ends the trial, and leaves the upgrade as it runs."
  @spec forget() :: any
  def forget do
    for timer <- timers(current()), do: :timer.cancel(timer)
    Application.delete_env(@app, @key)
  end

  defp timers(nil), do: []
  defp timers(trial), do: trial.timers

  @doc "The trial of this VM, nil without one."
  @spec current() :: t | nil
  def current, do: Application.get_env(@app, @key)

  @doc "What is told of it: whose it is, and how long it lasts."
  @spec told() :: %{id: binary, left_ms: non_neg_integer} | nil
  def told, do: with(%{} = trial <- current(), do: %{id: trial.id, left_ms: max(trial.until_ms - clock(), 0)})

  @doc """
  Stops the VM if the trial is over by the clock: timers stand still in a machine that sleeps.
  """
  @spec look() :: any
  def look do
    with %{until_ms: until, stop: {module, function, arguments}} = trial <- current(),
         true <- clock() > until + 1_000 and not is_map_key(trial, :stopped) do
      Application.put_env(@app, @key, Map.put(trial, :stopped, true))
      :logger.warning(@why)
      apply(module, function, arguments)
    end
  end

  defp clock, do: System.os_time(:millisecond)
end
