defmodule FlyDeploy.AppliedConfig do
  @moduledoc false

  # Configuration that the recorded upgrade has applied to running machines (`flydeploy hot --apply-config`), at a restart: as the
  # machines had it then, evaluated anew in this one's environment. See `FlyDeployAgent.AppConfig`.

  alias FlyDeployAgent.{
    AppConfig,
    ConfigChange,
    ConfigEvaluation,
    ConfigFile,
    ConfigScratch,
    Failure,
    ScratchPort
  }

  require Logger

  @modules [ConfigScratch, ConfigFile, Failure, ScratchPort]

  @doc "What is to be applied of the upgrade that lies in `dir`, with these changed modules; nil if it applies none."
  @spec find(FlyDeploy.Metadata.upgrade(), Path.t(), [module]) ::
          {:ok, AppConfig.found()} | {:error, String.t()}
  def find(%{apply_config: false}, _dir, _modules), do: {:ok, nil}

  def find(_upgrade, dir, modules) do
    with {:ok, _config} = found <- AppConfig.find(dir, modules, &code/0), do: {:ok, found}
  end

  # Beyond what evaluating it takes at most: so its own reason is told.
  @beyond_ms 2_000

  @doc "How long that may take at most, in milliseconds. A second VM starts for it, which a throttled CPU does slowly."
  @spec takes_ms(FlyDeploy.Metadata.upgrade()) :: non_neg_integer
  def takes_ms(%{apply_config: false}), do: 0
  def takes_ms(_upgrade), do: ConfigEvaluation.most_ms() + @beyond_ms

  defp code, do: {:ok, for(m <- @modules, {^m, beam, _} <- [:code.get_object_code(m)], do: {m, beam})}

  @doc "Puts it into the applications' environments, before `load` is called, and takes it back if that fails."
  @spec around(AppConfig.found(), (() -> :ok | {:error, String.t()})) :: :ok | {:error, String.t()}
  def around(found, load) do
    both = ConfigChange.both(found)

    with {:error, text} <- with(:ok <- ConfigChange.apply_all(both), do: load.()) do
      ConfigChange.take_back(both)
      {:error, text}
    end
  end

  @doc "Tells the applications that have been started already, such as dependencies. The one that starts finds it so."
  @spec tell(AppConfig.found()) :: :ok
  def tell(found) do
    for module <- ConfigChange.tell(found) do
      Logger.warning("FlyDeploy: #{inspect(module)} did not take the configuration of the hot upgrade")
    end

    :ok
  end

  @doc "Whether an upgrade is to be applied with its configuration: it says so, or takes an applied one back."
  @spec due?(FlyDeploy.Metadata.upgrade()) :: boolean
  def due?(upgrade), do: upgrade.apply_config or AppConfig.applied?()

  @doc "How many settings it changes, in words; \"\" for none."
  @spec told(AppConfig.found()) :: String.t()
  def told({:ok, %{keys: [_]}}), do: ", 1 setting"
  def told({:ok, %{keys: [_ | _] = keys}}), do: ", #{length(keys)} settings"
  def told(_found), do: ""
end
