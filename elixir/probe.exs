# What `bin/NAME rpc` evaluates in the running VM for `flydeploy doctor`. It looks, and changes nothing: no module, no
# file. The answer is key=value lines between two markers. `system`: OTP's and Elixir's applications.

libraries = for {app, _, vsn} <- Application.loaded_applications(), app not in system, do: {app, vsn}
needed = for {app, _} <- libraries, needs <- Application.spec(app, :applications) || [], uniq: true, do: needs

apps =
  for {app, vsn} <- Enum.sort(libraries) do
    {"app", "#{app} #{vsn} #{if app in needed, do: "needed", else: "top"}"}
  end

# Neither function need exist, nor find anything.
count = fn certificates ->
  try do
    certificates.()
  rescue
    _ -> 0
  catch
    _, _ -> 0
  end
end

in_file = fn path -> path |> File.read!() |> :public_key.pem_decode() |> length() end

certificates =
  case System.get_env("AWS_CA_BUNDLE", "") do
    "" ->
      with 0 <- count.(fn -> length(apply(:public_key, :cacerts_get, [])) end),
           do: count.(fn -> CAStore |> apply(:file_path, []) |> in_file.() end)

    bundle ->
      count.(fn -> in_file.(bundle) end)
  end

folders =
  for({app, _} <- libraries, dir = :code.lib_dir(app), is_list(dir), do: Path.join(dir, "ebin")) ++
    [
      Path.join([
        System.get_env("RELEASE_ROOT", ""),
        "releases",
        System.get_env("RELEASE_VSN", ""),
        "consolidated"
      ])
    ]

unwritable =
  for dir <- folders, {:ok, %{access: access}} <- [File.stat(dir)], access not in [:write, :read_write] do
    {"unwritable", dir}
  end

user =
  case File.stat("/proc/self") do
    {:ok, %{uid: uid}} -> uid
    _ -> ""
  end

facts = [
  {"otp", System.otp_release()},
  {"elixir", System.version()},
  {"crypto", Code.ensure_loaded?(:crypto)},
  {"ssl", Code.ensure_loaded?(:ssl)},
  {"certificates", certificates},
  {"hook", hook},
  {"poller", Process.whereis(FlyDeploy.Poller) != nil},
  {"agent", Process.whereis(:flydeploy_agent) != nil},
  {"user", user},
  {"clock_ms", System.os_time(:millisecond)}
]

lines =
  for {key, value} <- facts ++ calls ++ undone ++ caught_up ++ keys ++ apps ++ unwritable,
      do: "#{key}=#{value}\n"

IO.puts(["FLYDEPLOY1 facts\n", lines, "FLYDEPLOY1 end"])
