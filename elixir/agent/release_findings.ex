defmodule FlyDeployAgent.ReleaseFindings do
  @moduledoc """
  What a new release changes beside its code, and a hot upgrade does not apply: configuration, flags of the VM, native files,
  migrations of the database. Names are told, never values.
  """

  alias FlyDeployAgent.{AppConfig, ConfigFindings, Manifest, Release}

  import FlyDeployAgent.Findings, only: [finding: 4]

  @shown 5
  @boot ["vm.args", "env.sh"]

  @doc """
  The findings about the release that was extracted to `dir`, whose files `{source, target}` would be put into place, and which
  has `changes` of modules. Where its configuration is applied, `config`, that tells what of it is not.
  """
  @spec all(Path.t(), [FlyDeployAgent.Diff.change()], [FlyDeployAgent.Files.file()], AppConfig.found()) ::
          [FlyDeployAgent.Findings.finding()]
  def all(dir, changes, files, config \\ nil) do
    case manifests(dir) do
      nil ->
        ConfigFindings.all(config)

      {new, before} ->
        found = native(new) ++ settings(new, before, config) ++ migrations(files)
        cold = Enum.filter(found, &(&1.severity in [:block, :refuse]))
        found ++ if(AppConfig.changes?(config), do: [], else: nothing_hot(cold, changes, files))
    end
  end

  # The one of the new release, and the one of an earlier hot upgrade.
  defp manifests(dir) do
    with [path | _] <- dir |> Path.join(Manifest.path("*")) |> Path.wildcard(),
         {:ok, text} <- File.read(path) do
      {app, _vsn} = path |> Path.relative_to(dir) |> Path.split() |> Enum.at(1) |> Release.split()
      {Manifest.parse(text), before(app)}
    else
      _ -> nil
    end
  end

  defp before(app) do
    with folder when folder != nil <- Release.app_dir(app),
         {:ok, text} <- File.read(Path.join([folder, "ebin", Path.basename(Manifest.path("x"))])) do
      Manifest.parse(text)
    else
      _ -> %{files: %{}, settings: %{}}
    end
  end

  # OTP's own are compared by OTP's version.
  defp native(new) do
    names =
      for {"lib/" <> rest, %{kind: :native} = file} <- Enum.sort(new.files),
          [folder | below] = Path.split(rest),
          {app, _vsn} = Release.split(folder),
          Release.origin(app) == :library,
          running = Release.app_dir(app),
          differs?(Path.join([running | below]), file),
          do: Path.join([to_string(app) | below])

    about(names, "native_changed", :refuse, "holds native code, which differs")
  end

  defp differs?(path, %{size: size, sha256: sha256}) do
    case File.stat(path) do
      {:ok, %{size: ^size}} -> Manifest.sha256(path) != sha256
      _ -> true
    end
  end

  # What an earlier hot upgrade brought with it, and was accepted then, is no news.
  defp settings(new, before, config) do
    running = Manifest.settings(Path.join([Release.root(), "releases", System.get_env("RELEASE_VSN", "")]))
    changed = for key <- keys(new.settings, running), new.settings[key] != running[key], do: key

    {known, news} =
      Enum.split_with(changed, &(before.settings != %{} and before.settings[&1] == new.settings[&1]))

    found =
      for {keys, severity} <- [{news, :block}, {known, :info}],
          {boot?, name} <- [{false, "config_changed"}, {true, "boot_changed"}],
          boot? or config == nil,
          found <- of_files(for({file, _} = key <- keys, file in @boot == boot?, do: key), name, severity),
          do: found

    ConfigFindings.all(config) ++ found
  end

  defp keys(one, other), do: one |> Map.merge(other) |> Map.keys() |> Enum.sort()

  defp of_files(keys, name, severity) do
    for {file, keys} <- Enum.group_by(keys, &elem(&1, 0), &elem(&1, 1)) do
      finding(
        name,
        severity,
        file,
        "differs in #{some(keys)}, and is not applied before the next cold deploy"
      )
    end
  end

  # In new code as well as in that of dependencies, such as Oban's.
  defp migrations(files) do
    added =
      for {_, to} <- files,
          to =~ ~r"/priv/[^/]+/migrations/.*\.exs$",
          not File.exists?(to),
          do: Path.basename(to)

    about(
      Enum.sort(added),
      "migrations_added",
      :block,
      "is added: a hot upgrade runs no migration, and no release_command"
    )
  end

  defp nothing_hot([], _changes, _files), do: []

  defp nothing_hot(_cold, changes, files) do
    if changes == [] and
         Enum.all?(files, fn {_, to} -> Manifest.manifest?(to) or String.ends_with?(to, ".app") end),
       do: [
         finding(
           "nothing_hot",
           :refuse,
           "the release",
           "none of it can be applied to a running VM: deploy cold"
         )
       ],
       else: []
  end

  defp about([], _name, _severity, _detail), do: []
  defp about(names, name, severity, detail), do: [finding(name, severity, some(names), detail)]

  defp some(names) do
    shown = names |> Enum.take(@shown) |> Enum.join("; ")
    if length(names) > @shown, do: "#{shown} and #{length(names) - @shown} more", else: shown
  end
end
