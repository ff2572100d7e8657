defmodule FlyDeployAgent.AppConfig do
  @moduledoc """
  Configuration that a deploy applies (`--apply-config`): that of the new release is evaluated as at its boot, in a scratch VM
  (`FlyDeployAgent.ConfigEvaluation`), and so is the one that this VM was started with. Where the two differ, applications get
  the new values: what an application has set itself, and the release does not, stays.

  Values are kept in functions: so no log, and nothing that is told, can show them.

    * `keys` – `{app, key, :changed | :new | :removed}`, what is applied; `cold` – `{app, key}` that only a boot applies
    * `unsteady` – `{app, key}` that have another value whenever they are evaluated, and stay as they are
    * `variables` – names of environment variables that a boot would set otherwise
    * `untold` – `{app, key, kind}` of what an earlier upgrade has applied, and the application has not taken
    * `values` – a function that gives what to put: `%{{app, key} => {:ok, value} | :unset}`
  """

  alias FlyDeployAgent.{ConfigEvaluation, ConfigFile, Release}

  # Where the VM keeps which configuration it has, as it was built, and what applications have not taken, by its keys; and what of Elixir's logger can be set while it runs.
  @own :flydeploy
  @key :config
  @untold :untold
  @logger [:level, :truncate, :translator_inspect_opts]

  @enforce_keys [:keys, :values]
  defstruct @enforce_keys ++ [cold: [], unsteady: [], variables: [], untold: []]

  @type put :: (() -> %{{atom, atom} => {:ok, term} | :unset})
  @type key :: {app :: atom, key :: atom, :changed | :new | :removed}
  @type t :: %__MODULE__{
          keys: [key],
          values: put,
          cold: [{atom, atom}],
          unsteady: [{atom, atom}],
          variables: [binary],
          untold: [key]
        }

  @typedoc "What was found, or why nothing was; nil where nobody has asked."
  @type found :: {:ok, t} | {:error, binary} | nil

  @doc "Whether an earlier upgrade has applied a configuration in this VM."
  @spec applied?() :: boolean
  def applied?, do: :application.get_env(@own, @key) != :undefined

  @doc """
  What the release that was extracted to `dir`, with changes of the modules `changed`, does to the applications' environments. Without a
  configuration of its own it has that of this VM's image. `code` gives the agent's own modules, see `FlyDeployAgent.OwnCode`.
  """
  @spec find(Path.t(), [module], (() -> {:ok, [{module, binary}]} | {:error, binary})) ::
          found
  def find(dir, changed, code) do
    image = ConfigFile.read(Release.root(), System.get_env("RELEASE_VSN", ""))
    new = ConfigFile.extracted(dir)
    before = with {:ok, file} <- :application.get_env(@own, @key), do: :erlang.binary_to_term(file)
    running = if before == :undefined, do: image, else: before

    found =
      if running == (new || image),
        do: {:ok, %__MODULE__{keys: [], values: unchanged(before, image)}},
        else:
          running
          |> ConfigEvaluation.run(new || image, %{dir: dir, changed: changed}, code)
          |> found(own(new, image))

    with {:ok, config} <- found,
         do: {:ok, %__MODULE__{config | untold: Application.get_env(@own, @untold, [])}}
  end

  @doc "Remembers what applications have not taken, until the VM ends, as `FlyDeployAgent.Fence` does: the next deploy tells it again."
  @spec remember([key]) :: :ok
  def remember([]), do: Application.delete_env(@own, @untold)
  def remember(keys), do: Application.put_env(@own, @untold, keys)

  defp unchanged(:undefined, _image), do: fn -> %{} end
  defp unchanged(file, image), do: fn -> %{{@own, @key} => own(file, image)} end

  # What is noted down of a configuration: nothing of the image's, which a restart brings back by itself.
  defp own(file, image) when file in [nil, image], do: :unset
  defp own(file, _image), do: {:ok, ConfigFile.encode(file)}

  defp found({:error, text}, _new), do: {:error, text}

  defp found({:ok, {_old, %{compile_env: [_ | _] = keys}, _two}}, _new) do
    {:error,
     "the new code was compiled with other values of #{Enum.map_join(keys, ", ", &setting/1)}: the release would not boot with it"}
  end

  defp found({:ok, {old, new, again}}, own) do
    names = Enum.uniq(Map.keys(old.config) ++ Map.keys(new.config))
    differing = for name <- names, fetch(old, name) != fetch(new, name), do: name
    {cold, hot} = Enum.split_with(differing, &cold?/1)
    {unsteady, hot} = Enum.split_with(hot, &(fetch(new, &1) != fetch(again, &1) and current(&1) != :unset))
    values = for name <- hot, fetch(new, name) != current(name), into: %{}, do: {name, fetch(new, name)}
    keys = for {{app, key} = name, value} <- values, do: {app, key, kind(current(name), value)}
    all = Map.put(values, {@own, @key}, own)

    {:ok,
     %__MODULE__{
       keys: Enum.sort(keys),
       values: fn -> all end,
       cold: Enum.sort(cold),
       unsteady: Enum.sort(unsteady),
       variables: variables(old.env, new.env)
     }}
  end

  defp fetch(%{config: config}, name), do: with(:error <- Map.fetch(config, name), do: :unset)

  @doc "A setting as it is now."
  @spec current({atom, atom}) :: {:ok, term} | :unset
  def current({app, key}), do: with(:undefined <- :application.get_env(app, key), do: :unset)

  defp kind(:unset, _value), do: :new
  defp kind(_now, :unset), do: :removed
  defp kind(_now, _value), do: :changed

  # OTP's and Elixir's own are read when they start.
  defp cold?({:logger, key}), do: key not in @logger
  defp cold?({app, _key}), do: Release.origin(app) != :library

  defp variables(old, new) do
    for name <- Map.keys(Map.merge(old, new)), name != "RELEASE_VSN", old[name] != new[name], do: name
  end

  @doc "Whether a commit changes any setting, or tells of one again."
  @spec changes?(found) :: boolean
  def changes?({:ok, %{keys: keys, untold: untold}}), do: keys != [] or untold != []
  def changes?(_found), do: false

  @doc "A setting as it will be after the commit, as `Application.fetch_env/2` gives it."
  @spec fetch_env(found, atom, atom) :: {:ok, term} | :error
  def fetch_env({:ok, %{values: values}}, app, key) do
    case values.() do
      %{{^app, ^key} => {:ok, value}} -> {:ok, value}
      %{{^app, ^key} => :unset} -> :error
      _ -> Application.fetch_env(app, key)
    end
  end

  def fetch_env(_found, app, key), do: Application.fetch_env(app, key)

  @doc "Applications' environments as they will be after the commit."
  @spec env(found, [{atom, keyword}]) :: [{atom, keyword}]
  def env({:ok, %{values: values}}, env) do
    values = for {{app, key}, value} <- values.(), app != @own, do: {app, key, value}
    apps = Enum.uniq(Enum.map(env, &elem(&1, 0)) ++ Enum.map(values, &elem(&1, 0)))

    for app <- apps do
      settings = Keyword.get(env, app, [])

      {app,
       for {^app, key, value} <- values, reduce: settings do
         settings ->
           case value do
             {:ok, value} -> Keyword.put(settings, key, value)
             :unset -> Keyword.delete(settings, key)
           end
       end}
    end
  end

  def env(_found, env), do: env

  @doc "What is applied, by application: `{key, :changed | :new | :removed}`."
  @spec by_app([{atom, atom, atom}]) :: %{atom => [{atom, atom}]}
  def by_app(keys), do: Enum.group_by(keys, &elem(&1, 0), fn {_, key, kind} -> {key, kind} end)

  @doc "A setting as people know it, without its value."
  @spec setting({atom, atom}) :: binary
  def setting({app, key}), do: "#{inspect(app)}, #{inspect(key)}"
end
