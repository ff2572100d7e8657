defmodule FlyDeployAgent.ConfigChange do
  @moduledoc """
  Gives applications other settings (`FlyDeployAgent.AppConfig`) within a window, takes them back, and tells the applications.
  """

  alias FlyDeployAgent.{AppConfig, Beside}

  # In the window: nobody but OTP's application controller is waited for, and not for long.
  @put_ms 500
  @told_ms 5_000

  @typedoc "For a window: what to put, and what takes it back; nil where nothing is applied."
  @type both :: %{put: AppConfig.put(), back: AppConfig.put()} | nil

  @doc "For a window that begins now."
  @spec both(AppConfig.found()) :: both
  def both({:ok, config}), do: %{put: config.values, back: now(config)}
  def both(_found), do: nil

  @doc "Within the window: applies it."
  @spec apply_all(both) :: :ok | {:error, binary}
  def apply_all(nil), do: :ok
  def apply_all(%{put: put}), do: put(put)

  @doc "Within the window: takes it back. A second time it changes nothing."
  @spec take_back(both) :: :ok | {:error, binary}
  def take_back(nil), do: :ok
  def take_back(%{back: back}), do: put(back)

  @doc """
  What is told where `take_back/1` was not answered: then everything runs, and perhaps finds the new settings, until OTP's application
  controller has done what it was asked.
  """
  @spec not_back(:ok | {:error, binary}) :: [FlyDeployAgent.Failure.t()]
  def not_back(:ok), do: []
  def not_back({:error, text}), do: [%{reason: "config_not_back", exception: text}]

  @doc "What these settings are now: what `put/1` takes back."
  @spec now(AppConfig.t()) :: AppConfig.put()
  def now(%AppConfig{values: values}) do
    now = Map.new(values.(), fn {name, _} -> {name, AppConfig.current(name)} end)
    fn -> now end
  end

  @doc """
  Puts settings into the applications' environments, in one request to OTP's application controller, and one for each that goes. As at
  a boot they stay when an application is loaded again.
  """
  @spec put(AppConfig.put()) :: :ok | {:error, binary}
  def put(values) do
    {gone, there} = Enum.split_with(values.(), fn {_, value} -> value == :unset end)
    options = [persistent: true]

    by_app =
      Enum.group_by(there, fn {{app, _}, _} -> app end, fn {{_, key}, {:ok, value}} -> {key, value} end)

    requests = [
      (&:application.set_env(Enum.to_list(by_app), [{:timeout, &1} | options]))
      | for({{app, key}, :unset} <- gone, do: &:application.unset_env(app, key, [{:timeout, &1} | options]))
    ]

    case Enum.reduce(requests, @put_ms, &ask/2) do
      0 -> {:error, "OTP's application controller did not answer within #{@put_ms} ms"}
      _answered -> :ok
    end
  end

  # What was asked is done later all the same, before what is asked after it: all of it is asked, though nobody waits any more.
  defp ask(request, timeout) do
    :ok = request.(timeout)
    timeout
  catch
    :exit, _ -> 0
  end

  @doc """
  Tells the applications that run, as OTP's application controller does after an upgrade of a release: `config_change(changed, new,
  removed)` of each application's module. It is the application's code: beside the agent, and bounded. Gives the modules that failed, which the next
  deploy tells again.
  """
  @spec tell(AppConfig.found()) :: [module]
  def tell({:ok, %AppConfig{keys: keys, untold: untold, values: values}}) do
    values = values.()
    value = fn name -> Map.get(values, name) || AppConfig.current(name) end
    keys = Enum.uniq_by(keys ++ untold, fn {app, key, _kind} -> {app, key} end)

    deaf =
      for {app, keys} <- AppConfig.by_app(keys),
          module = told(app),
          module != nil,
          not told?(module, app, keys, value),
          do: {app, module}

    AppConfig.remember(for {app, _, _} = key <- keys, List.keymember?(deaf, app, 0), do: key)
    Enum.map(deaf, &elem(&1, 1))
  end

  def tell(_found), do: []

  defp told(:logger), do: Logger
  defp told(app), do: module(app)

  defp told?(module, app, keys, value) do
    {changed, new} = {of(:changed, app, keys, value), of(:new, app, keys, value)}
    removed = for {key, :removed} <- keys, do: key

    tell = fn ->
      if app == :logger,
        do: Logger.configure(changed ++ new),
        else: module.config_change(changed, new, removed)
    end

    # What it raises may hold a value: nobody logs that.
    match?({:ok, _}, Beside.run(tell, @told_ms))
  end

  defp of(kind, app, keys, value),
    do: for({key, ^kind} <- keys, {:ok, setting} <- [value.({app, key})], do: {key, setting})

  @doc """
  The module of an application that runs, if it wants to be told. Which it is, the new code decides as a rule as the running one does.
  """
  @spec module(atom) :: module | nil
  def module(app) do
    with {:ok, {module, _}} <- :application.get_key(app, :mod),
         true <- List.keymember?(:application.which_applications(), app, 0),
         true <- function_exported?(module, :config_change, 3),
         do: module,
         else: (_ -> nil)
  end
end
