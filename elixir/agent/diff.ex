defmodule FlyDeployAgent.Diff do
  @moduledoc """
  Compares an extracted tarball with what runs: by the md5 of the *loaded* code, and by application name, never by the
  version in a folder's name. Keeps md5s and paths only.

  A change is `%{module, app, consolidated, change: :changed | :added, md5, old_md5, source, target, old_file}`: `source` the
  new file, `target` where it will lie, `old_file` the file that a rollback loads from (nil for added modules), which holds code
  with `file_md5` (nil where there is none): not that which runs, if somebody has loaded another one by hand. Where an upgrade is taken back,
  `asked` is the file whose code_change is called, and `down` whether it does something with a state (`FlyDeployAgent.Back`).
  """

  alias FlyDeployAgent.{Beam, Findings, Release}

  @type change :: %{
          optional(:asked) => Path.t(),
          optional(:down) => boolean,
          required(:module) => module,
          required(:app) => atom,
          required(:consolidated) => boolean,
          required(:change) => :changed | :added,
          required(:md5) => binary,
          required(:old_md5) => binary | nil,
          required(:source) => Path.t(),
          required(:target) => Path.t(),
          required(:old_file) => Path.t() | nil,
          required(:file_md5) => binary | nil
        }
  @type t :: %{
          changes: [change],
          removed: [{module, app :: atom}],
          files: [{source :: Path.t(), target :: Path.t()}],
          findings: [Findings.finding()]
        }

  @doc "The file whose code_change a commit calls."
  @spec asked(change) :: Path.t()
  def asked(change), do: Map.get(change, :asked, change.source)

  @doc """
  Gives `{changes, removed, files, findings}`: modules to load, `{module, app}` that the new release no longer has,
  `{source, target}` files to put into place.
  """
  @spec run(Path.t(), atom) :: t
  def run(dir, otp_app) do
    consolidated = consolidated(dir)
    apps = apps(dir)
    protocols = MapSet.new(consolidated, fn {module, _} -> module end)

    parts = Enum.map(apps, &app(&1, protocols)) ++ [protocols(consolidated)]
    changes = Enum.flat_map(parts, & &1.changes)
    # What another application has now was moved.
    kept = for %{modules: modules} <- parts, module <- modules, into: protocols, do: module

    %{
      changes: changes,
      removed: for({module, _app} = gone <- Enum.flat_map(parts, & &1.removed), module not in kept, do: gone),
      files: Enum.flat_map(parts, & &1.files),
      findings: platform(apps) ++ dependencies(apps, changes, own(apps, otp_app)) ++ app_files(parts)
    }
  end

  defp apps(dir) do
    for path <- dir |> Path.join("lib/*") |> Path.wildcard(), File.dir?(path) do
      {app, vsn} = Release.split(path)
      origin = Release.origin(app)
      keys = if origin == :library, do: path |> Path.join("ebin/#{app}.app") |> Release.app_keys(), else: []
      %{app: app, vsn: vsn, dir: path, running: Release.app_dir(app), origin: origin, keys: keys}
    end
  end

  defp consolidated(dir) do
    for path <- dir |> Path.join("releases/*/consolidated/*.beam") |> Path.wildcard(),
        do: {module(path), path}
  end

  defp module(path), do: path |> Path.basename(".beam") |> String.to_atom()

  defp app(%{origin: origin}, _protocols) when origin in [:otp, :elixir],
    do: %{changes: [], removed: [], modules: [], files: [], app_file: nil}

  defp app(app, protocols) do
    target = app.running || Path.join([Release.root(), "lib", "#{app.app}-#{app.vsn}"])
    new = Path.wildcard(app.dir <> "/ebin/*.beam")
    old_keys = Release.app_keys(Path.join(target, "ebin/#{app.app}.app"))
    # Those that are as before may not have been extracted.
    modules = MapSet.new(Enum.map(new, &module/1) ++ (app.keys[:modules] || []))

    changes =
      for path <- new,
          module(path) not in protocols,
          change = change(app.app, path, Path.join(target, "ebin")),
          do: change

    %{
      modules: modules,
      changes: changes,
      removed:
        for(
          path <- Path.wildcard(target <> "/ebin/*.beam"),
          module(path) not in modules,
          listed?(module(path), old_keys),
          do: {module(path), app.app}
        ),
      files: files(app.dir, target, differing(changes)),
      app_file: {app, old_keys}
    }
  end

  # An earlier upgrade that removed a module has left its file, but not its name in the list of modules.
  defp listed?(module, app_keys) do
    case app_keys[:modules] do
      nil -> true
      modules -> module in modules
    end
  end

  defp protocols(consolidated) do
    target = Release.consolidated()

    changes =
      for {module, path} <- consolidated,
          change = change(owner(module), path, target),
          do: %{change | consolidated: true}

    differing = differing(changes)

    %{
      changes: changes,
      removed: [],
      modules: [],
      files:
        for(
          {_module, path} <- consolidated,
          to = Path.join(target, Path.basename(path)),
          path in differing or differs?(path, to),
          do: {path, to}
        ),
      app_file: nil
    }
  end

  # A protocol is consolidated anew when anybody implements it: its own application has not changed.
  defp owner(module) do
    case :application.get_application(module) do
      {:ok, app} -> app
      :undefined -> :consolidated
    end
  end

  defp change(app, path, target_dir) do
    module = module(path)
    md5 = path |> File.read!() |> Beam.md5()
    old_md5 = Beam.loaded_md5(module)
    target = Path.join(target_dir, Path.basename(path))
    old_file = old_md5 && loaded_from(module, target)

    unless unchanged?(md5, old_md5, target) do
      %{
        module: module,
        app: app,
        consolidated: false,
        change: if(old_md5, do: :changed, else: :added),
        md5: md5,
        old_md5: old_md5,
        source: path,
        target: target,
        old_file: old_file,
        file_md5: old_file && file_md5(old_file)
      }
    end
  end

  # In interactive mode a module may simply not be loaded yet.
  defp unchanged?(md5, nil, target) do
    case File.read(target) do
      {:ok, beam} -> :code.get_mode() == :interactive and Beam.md5(beam) == md5
      {:error, _} -> false
    end
  end

  defp unchanged?(md5, old_md5, _target), do: md5 == old_md5

  defp file_md5(file) do
    case File.read(file) do
      {:ok, beam} -> Beam.md5(beam)
      {:error, _} -> nil
    end
  end

  defp loaded_from(module, target) do
    case :code.which(module) do
      [_ | _] = path -> List.to_string(path)
      _ -> target
    end
  end

  defp files(dir, target, differing) do
    for pattern <- ["ebin/*", "priv/**"],
        path <- dir |> Path.join(pattern) |> Path.wildcard(match_dot: true),
        to = Path.join(target, Path.relative_to(path, dir)),
        path in differing or differs?(path, to),
        do: {path, to}
  end

  # The new files whose code is known to differ from that in the file which they would replace.
  defp differing(changes) do
    for %{source: source, md5: md5, target: target, old_file: target, file_md5: file_md5} <- changes,
        file_md5 != md5,
        into: MapSet.new(),
        do: source
  end

  defp differs?(path, to) do
    case File.stat(path) do
      {:ok, %{type: :regular, size: size}} ->
        not match?({:ok, %{size: ^size}}, File.stat(to)) or File.read!(path) != File.read!(to)

      _folder ->
        false
    end
  end

  # Another OTP or Elixir: nothing of it can be swapped while it runs.
  defp platform(apps) do
    for %{origin: origin, app: app, vsn: vsn, running: running} <- apps,
        origin in [:otp, :elixir] and running != nil,
        {_, here} = Release.split(running),
        here != vsn,
        app in [:kernel, :stdlib, :elixir, :erts] do
      name = if origin == :otp, do: "otp_differs", else: "elixir_differs"
      finding(name, :refuse, app, "#{here} runs, the upgrade was built with #{vsn}: cold deploy")
    end
  end

  @doc "The version of an application as its files have it: a hot upgrade brings its own."
  @spec version(atom) :: binary | nil
  def version(app) do
    with dir when dir != nil <- Release.app_dir(app),
         [_ | _] = version <- Release.app_keys(Path.join(dir, "ebin/#{app}.app"))[:vsn],
         do: List.to_string(version),
         else: (_ -> nil)
  end

  # The operator's own applications: the one that is deployed, and the others of its umbrella. Nothing marks those; but they
  # depend on it, or have no description of their own (mix then takes the name; a package must have one).
  defp own(apps, otp_app) do
    for %{app: app, keys: keys, origin: :library} <- apps,
        app == otp_app or otp_app in List.wrap(keys[:applications]) or
          to_string(keys[:description]) == to_string(app),
        do: app
  end

  defp dependencies(apps, changes, own) do
    by_app = changes |> Enum.reject(& &1.consolidated) |> Enum.frequencies_by(& &1.app)

    for %{origin: :library, app: app, vsn: vsn, running: running} <- apps,
        app not in own or running == nil,
        finding = dependency(app, vsn, running, Map.get(by_app, app, 0)),
        do: finding
  end

  defp dependency(app, vsn, nil, _modules),
    do: finding("dependency_added", :block, app, "#{vsn} is new; it would be loaded but not started")

  defp dependency(_app, _vsn, _running, 0), do: nil

  defp dependency(app, vsn, running, modules) do
    {_, here} = Release.split(running)
    finding("dependency_changed", :block, app, "#{here} runs, #{vsn} is new: #{modules} modules differ")
  end

  defp app_files(parts) do
    for %{app_file: {%{running: running, keys: new_keys} = app, old_keys}} <- parts,
        running != nil,
        new_keys != [] and old_keys != [],
        key <- [:applications, :included_applications, :mod, :registered],
        Enum.sort(List.wrap(new_keys[key])) != Enum.sort(List.wrap(old_keys[key])) do
      finding(
        "app_file_changed",
        :block,
        app.app,
        "#{key} differs: a hot upgrade starts and stops no application"
      )
    end
  end

  defp finding(name, severity, subject, detail),
    do: %{name: name, severity: severity, subject: to_string(subject), detail: detail}
end
