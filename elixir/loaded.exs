# What `bin/NAME rpc` evaluates in the running VM to tell which code it has loaded: to verify an upgrade, and for
# `flydeploy status`. It looks, and changes nothing. The answer is key=value lines between two markers. `system`: OTP's and Elixir's applications.
#
# Which modules count is what the .app files on disk say, as an upgrade has put them there: a module that an upgrade removed
# stays loaded. Code of OTP and Elixir does not take part in upgrades.

consolidated =
  Path.join([
    System.get_env("RELEASE_ROOT", ""),
    "releases",
    System.get_env("RELEASE_VSN", ""),
    "consolidated"
  ])

protocols =
  for path <- Path.wildcard(Path.join(consolidated, "*.beam")), into: %{} do
    {path |> Path.basename(".beam") |> String.to_atom(), path}
  end

files =
  for {app, _, _} <- Application.loaded_applications(),
      app not in system,
      dir = :code.lib_dir(app),
      is_list(dir),
      ebin = Path.join(dir, "ebin"),
      {:ok, [{:application, _, keys}]} <- [:file.consult(Path.join(ebin, "#{app}.app"))],
      module <- keys[:modules] || [],
      into: protocols do
    {module, protocols[module] || Path.join(ebin, "#{module}.beam")}
  end

on_disk = fn path ->
  with {:ok, beam} <- File.read(path),
       md5 when is_binary(md5) <- :code.module_md5(beam),
       do: md5,
       else: (_ -> nil)
end

# In interactive mode a module may simply not be loaded yet.
modules =
  for {module, path} <- Enum.sort(files) do
    disk = on_disk.(path)
    loaded = if :erlang.module_loaded(module), do: module.module_info(:md5), else: disk
    {module, loaded, disk}
  end

lines = for {module, loaded, _} <- modules, loaded, do: [Atom.to_string(module), 0, loaded]
fingerprint = lines |> :erlang.md5() |> Base.encode16(case: :lower)
drifted = for {module, loaded, disk} <- modules, loaded != disk, do: module

# The package may be fly_deploy's own, or not be there.
version =
  try do
    apply(FlyDeploy, :current_vsn, [])
  rescue
    _ -> nil
  catch
    _, _ -> nil
  end

image_code =
  try do
    apply(FlyDeploy.Version, :image_code, [])
  rescue
    _ -> ""
  end

version = if is_map(version), do: version, else: %{}

facts = [
  {"fingerprint", fingerprint},
  {"modules", length(modules)},
  {"drifted", length(drifted)},
  {"hook", hook},
  {"hot_ref", version[:hot_ref]},
  {"version", version[:version]},
  {"image_code", image_code},
  {"memory", :erlang.memory(:total)},
  {"processes", :erlang.system_info(:process_count)},
  {"run_queue", :erlang.statistics(:total_run_queue_lengths)}
]

# See FlyDeployAgent.OnTrial.
on_trial =
  with %{id: id, until_ms: until} <- Application.get_env(:flydeploy, :trial),
       do: [{"trial", "#{id} #{max(until - System.os_time(:millisecond), 0)}"}]

drift = for module <- Enum.take(drifted, 5), do: {"drift", inspect(module)}

IO.puts([
  "FLYDEPLOY1 code\n",
  for(
    {key, value} <- facts ++ calls ++ undone ++ caught_up ++ keys ++ (on_trial || []) ++ drift,
    do: "#{key}=#{value}\n"
  ),
  "FLYDEPLOY1 end"
])
