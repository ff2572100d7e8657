defmodule FlyDeployAgent.ConfigScratch do
  @moduledoc """
  Runs in a scratch VM, see `FlyDeployAgent.ScratchVm`: evaluates the configuration of a release, as its boot does, with the
  environment and the code that a boot would have. It is asked:

      {:evaluate, %{file:, apps:, paths:, drop:, env:, cwd:, dir:}}

  `file` is a `FlyDeployAgent.ConfigFile`, `apps` are specifications of applications, as in `.app` files; `paths` come before the
  others, and modules of `drop` are loaded from them anew; `env` is the environment of the operating system, and `dir` an own folder.

  The answer is `{:ok, %{config:, env:, compile_env:}}`, the settings, what became of the environment, and `{app, key}` of settings that
  the code was compiled with another value of; or `{:error, text}`, without any value.
  """

  alias FlyDeployAgent.{ConfigFile, Failure, ScratchPort}

  @platform [:kernel, :stdlib, :compiler, :elixir]

  @doc "Owns the port, see `FlyDeployAgent.ScratchPort.serve/3`."
  @spec main(port, %{life_ms: pos_integer}) :: no_return
  def main(port, %{life_ms: life_ms}) do
    {:ok, _} = :application.ensure_all_started(:elixir)
    ScratchPort.serve(port, life_ms, &perform/1)
  end

  defp perform({:evaluate, asked}) do
    evaluate(asked)
  catch
    kind, reason -> {:error, told(kind, reason, __STACKTRACE__)}
  end

  defp evaluate(asked) do
    surround(asked)
    %{sys_config: text, files: files} = asked.file
    settings = ConfigFile.settings(text)
    Application.put_all_env(settings)

    places =
      for {{path, content}, n} <- Enum.with_index(files),
          into: %{},
          do: {path, write(asked.dir, path, content, n)}

    provider = ConfigFile.provider(text)
    config = run(settings, provider, places)
    Application.put_all_env(config)
    Process.put(:put, config)

    {:ok, %{config: config, env: System.get_env(), compile_env: compile_env(provider)}}
  end

  defp surround(%{paths: paths, drop: drop, env: env, cwd: cwd, apps: apps}) do
    for path <- Enum.reverse(paths), do: :code.add_patha(String.to_charlist(path))

    for module <- drop do
      :code.purge(module)
      :code.delete(module)
      :code.purge(module)
    end

    for {name, _} <- System.get_env(), not is_map_key(env, name), do: System.delete_env(name)
    System.put_env(env)
    File.cd(cwd)
    for {app, settings} <- Process.get(:put, []), {key, _} <- settings, do: Application.delete_env(app, key)
    for {app, _, _} <- :application.loaded_applications(), app not in @platform, do: :application.unload(app)
    for {:application, app, _} = spec <- apps, app not in @platform, do: :application.load(spec)
  end

  # By its own name, which it may look at, in a folder of its own, as two may have the same.
  defp write(dir, path, content, n) do
    folder = Path.join(dir, "#{System.unique_integer([:positive])}-#{n}")
    File.mkdir_p!(folder)
    file = Path.join(folder, Path.basename(path))
    File.write!(file, content)
    file
  end

  defp run(settings, nil, _places), do: settings

  defp run(settings, provider, places) do
    start = Config.Reader.merge(settings, Map.get(provider, :extra_config) || [])

    Enum.reduce(provider.providers, start, fn {module, state}, config ->
      case module.load(config, ConfigFile.leading_to(state, places)) do
        config when is_list(config) -> config
        other -> throw({:no_config, module, Failure.shape(other)})
      end
    end)
  end

  # What a boot checks, unless the release does not want it.
  defp compile_env(%{validate_compile_env: expected}) when is_list(expected) do
    for {app, [key | path], value} <- expected,
        found(Application.fetch_env(app, key), path) != value,
        uniq: true,
        do: {app, key}
  end

  defp compile_env(_provider), do: []

  defp found({:ok, value}, [key | path]), do: value |> Access.fetch(key) |> found(path)
  defp found(found, _path), do: found

  defp told(:throw, {:no_config, module, shape}, _stack),
    do: "config provider #{inspect(module)} gave #{shape} instead of a configuration"

  # The text of an exception may hold what the environment does; the name of a variable that is missing tells what to do.
  defp told(:error, %{__struct__: System.EnvError, env: name}, stack),
    do: "environment variable #{name} is not set#{at(stack)}"

  defp told(:error, reason, stack) do
    Failure.explain({:error, {:EXIT, {reason, stack}}}, fn _module -> false end).exception <> at(stack)
  end

  defp told(kind, _reason, stack), do: "it ended with a #{kind}#{at(stack)}"

  defp at(stack) do
    place =
      for {_, _, _, location} <- stack,
          file = to_string(location[:file] || ""),
          String.ends_with?(file, ".exs"),
          line = location[:line],
          do: ", at #{Path.basename(file)}:#{line}"

    List.first(place, "")
  end
end
