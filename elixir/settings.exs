# What `bin/NAME rpc` evaluates in the running VM to tell the settings of another release, where no temporary machine can do so, after the
# bindings that the console puts in front of it: module and source (of FlyDeployAgent.Manifest under a name that no agent has), texts (the
# files of that release's configuration, by their names). Nothing of it is applied, and no value is told: the answer are the lines that
# such settings are in a manifest, with what the VM runs on. The module is gone afterwards.

inflate = fn text -> text |> Base.decode64!() |> :zlib.uncompress() end
module = Module.concat([module])

read = fn ->
  try do
    source |> inflate.() |> Code.compile_string()
    settings = apply(module, :settings_of, [texts |> inflate.() |> URI.decode_query()])
    apply(module, :lines_of, [settings])
  after
    :code.delete(module)
    :code.soft_purge(module)
  end
end

lines = :global.trans({:flydeploy_settings, self()}, read, [node()])

IO.puts([
  "FLYDEPLOY1 settings\n",
  "otp=#{System.otp_release()}\nerts=#{:erlang.system_info(:version)}\nelixir=#{System.version()}\n",
  "lines=#{lines |> IO.iodata_to_binary() |> :zlib.compress() |> Base.encode64()}\n",
  "FLYDEPLOY1 end"
])
