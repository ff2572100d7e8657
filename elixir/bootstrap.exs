# What `bin/NAME rpc` evaluates in the running VM, after the bindings that the console puts in front of it:
# id (the order's), agent (the agent's main module), modules (how many the agent has), order (see FlyDeployAgent.Order).
#
# Where an agent is at work already it says so, and downloads nothing. Otherwise it downloads the compiled agent that the
# order names (FlyDeployOrchestrator.Compiled says what that is), unless the VM has its modules, loads all of it or
# nothing, and starts it. The answer is one line with a marker.
#
# What is evaluated here belongs to no module, so the sweeper can remove them all. It does so under the same lock under
# which an agent starts: either it sees the agent, or the agent does not find the module.

one_at_a_time = fn fun -> :global.trans({:flydeploy_agent, self()}, fun, [node()]) end

# All names are looked through as one text: a function that is evaluated takes long for each of thousands. The code server, asked
# for all modules, would copy their files' paths as well, and keep megabytes for it.
names = fn ->
  :erlang.loaded() |> Enum.filter(&:erlang.module_loaded/1) |> Enum.map_join(" ", &Atom.to_string/1)
end

# The modules of agents, of any version, whose names end like this.
loaded = fn ending ->
  for [name] <- Regex.scan(~r/(?<!\S)Elixir\.FlyDeployAgent_\S*#{ending}(?!\S)/, names.()),
      do: String.to_existing_atom(name)
end

# To free a module's code the VM asks every process, so its modules go one at a time, below a thirtieth of a core: all of them at
# once would take a VM with 10,000 processes four seconds. A next agent uses what is left, and its own sweeper goes on from there.
remove = fn module ->
  one_at_a_time.(fn ->
    if Process.whereis(:flydeploy_agent) == nil and Process.whereis(:flydeploy_sweeper) == self() do
      {us, _} =
        :timer.tc(fn ->
          if :erlang.check_old_code(module), do: :code.soft_purge(module)
          :code.delete(module)
          :code.soft_purge(module)
        end)

      max(100, div(us * 30, 1_000))
    end
  end)
end

sweep = fn started, guardian, dir ->
  sweeper =
    spawn(fn ->
      Process.group_leader(self(), Process.whereis(:init))

      for pid <- [started, guardian] do
        ref = Process.monitor(pid)

        receive do
          {:DOWN, ^ref, _, _, _} -> :ok
        end
      end

      if dir, do: File.rm_rf(dir)

      Enum.all?(loaded.(""), fn module ->
        pause = remove.(module)
        if pause, do: Process.sleep(pause)
        pause
      end)
    end)

  # The one before ends at its next module, or has ended.
  try do
    Process.unregister(:flydeploy_sweeper)
  rescue
    ArgumentError -> nil
  end

  Process.register(sweeper, :flydeploy_sweeper)
end

# The agent may be of another version of flydeploy: any version's modules can encode what it says. They stay while the
# lock is held.
encode = fn about -> hd(loaded.("\\.Json")).encode(about) end

# What the agent in this VM says; nil without one. An agent inside its window answers only afterwards.
at_work = fn ->
  with pid when is_pid(pid) <- Process.whereis(:flydeploy_agent) do
    ref = Process.monitor(pid)
    send(pid, {:flydeploy_describe, self(), ref})

    receive do
      {^ref, about} ->
        Process.demonitor(ref, [:flush])
        {if(about.id == id, do: "started", else: "busy"), encode.(about)}

      {:DOWN, ^ref, _, _, _} ->
        nil
    after
      5_000 -> {"busy", ~s({"id":"","owner":"","state":"committing","expires_in_ms":0})}
    end
  end
end

# Nothing of the agent that could encode it is there.
refused = fn name, what -> throw({"refused", ~s({"name":"#{name}","what":"#{what}"})}) end

# Code for another Elixir or OTP is not loaded: it may lack instructions and functions.
same_release = fn form ->
  for {name, title, here} <- [
        {"otp", "OTP", System.otp_release()},
        {"elixir", "Elixir", System.version()}
      ],
      form["agent_" <> name] != here do
    refused.(name <> "_differs", "#{title} #{here} runs here, the new image has #{form["agent_" <> name]}")
  end
end

pem = fn text -> for {:Certificate, der, _} <- :public_key.pem_decode(text), do: der end

# The order's certificates, else those of the file that the machine names, else the operating system's, else those of the package castore.
certificates = fn form ->
  bundle = System.get_env("AWS_CA_BUNDLE", "")

  cond do
    form["cacerts"] ->
      pem.(form["cacerts"])

    bundle != "" ->
      with {:ok, text} <- File.read(bundle),
           [_ | _] = found <- pem.(text) do
        found
      else
        _ ->
          refused.(
            "no_certificates",
            "AWS_CA_BUNDLE names no file of certificates (PEM) that can be read"
          )
      end

    true ->
      try do
        :public_key.cacerts_get()
      rescue
        _ ->
          unless Code.ensure_loaded?(CAStore),
            do: refused.("no_certificates", "no CA certificates: neither the system's nor castore's")

          CAStore |> apply(:file_path, []) |> File.read!() |> pem.()
      end
  end
end

connect = fn uri ->
  host = String.to_charlist(uri.host)
  options = [:binary, active: false, packet: :http_bin, nodelay: true]

  case :gen_tcp.connect(host, uri.port, options, 10_000) do
    {:error, reason} when reason in [:nxdomain, :eafnosupport, :ehostunreach, :enetunreach] ->
      :gen_tcp.connect(host, uri.port, [:inet6 | options], 10_000)

    answer ->
      answer
  end
end

# Gives the modules that speak over the connection and set its options.
secure = fn
  "http", socket, _uri, _form ->
    {:ok, {:gen_tcp, :inet, socket}}

  "https", socket, uri, form ->
    unless Code.ensure_loaded?(:ssl) and match?({:ok, _}, Application.ensure_all_started(:ssl)),
      do: refused.("no_ssl", "the release lacks :ssl: add it to extra_applications and deploy cold once")

    options = [
      verify: :verify_peer,
      # A failure is told to the console, not to the application's log.
      log_level: :error,
      cacerts: certificates.(form),
      depth: 5,
      server_name_indication: String.to_charlist(uri.host),
      customize_hostname_check: [match_fun: :public_key.pkix_verify_hostname_match_fun(:https)]
    ]

    with {:ok, tls} <- :ssl.connect(socket, options, 10_000), do: {:ok, {:ssl, :ssl, tls}}
end

# Reads the answer's head, and gives its status.
status = fn status, recv, found ->
  case recv.(0) do
    {:ok, {:http_response, _, found, _}} -> status.(status, recv, found)
    {:ok, {:http_header, _, _, _, _}} -> status.(status, recv, found)
    {:ok, :http_eoh} -> found
    {:error, _} = error -> error
    {:ok, _} -> {:error, :no_http}
  end
end

# No error shows the URL, whose query is a secret.
download = fn form ->
  uri = URI.parse(form["agent_url"])
  target = [uri.path || "/", if(uri.query, do: [??, uri.query], else: [])]
  headers = ["host: ", uri.authority, "\r\nconnection: close\r\nuser-agent: flydeploy\r\n\r\n"]

  with {:ok, socket} <- connect.(uri),
       {:ok, {transport, options, socket}} <- secure.(uri.scheme, socket, uri, form),
       recv = &transport.recv(socket, &1, 20_000),
       :ok <- transport.send(socket, ["GET ", target, " HTTP/1.1\r\n", headers]),
       200 <- status.(status, recv, nil),
       :ok <- options.setopts(socket, packet: :raw),
       {:ok, file} <- recv.(String.to_integer(form["agent_size"])) do
    transport.close(socket)
    file
  else
    {:error, {:tls_alert, {alert, _}}} ->
      refused.("download_failed", "TLS with #{uri.host} failed: #{alert}")

    {:error, reason} ->
      reason = if is_tuple(reason), do: elem(reason, 0), else: reason
      reason = if is_atom(reason), do: reason, else: "unexpected reason"
      refused.("download_failed", "the download from #{uri.host} failed: #{reason}")

    status ->
      refused.("download_failed", "the download from #{uri.host} failed: it answered #{status}")
  end
end

complete? = fn -> length(:binary.matches(names.(), "Elixir." <> agent)) == modules end

# All of it or nothing.
load = fn form ->
  same_release.(form)

  unless Code.ensure_loaded?(:crypto),
    do: refused.("no_crypto", "the release lacks :crypto: add it to extra_applications")

  file = download.(form)

  unless Base.encode16(:crypto.hash(:sha256, file), case: :lower) == form["agent_sha256"],
    do: refused.("sha256_differs", "the sha256 of the compiled agent is not the expected one")

  {:flydeploy_agent, 1, _agent, compiled} = :erlang.binary_to_term(file)
  missing = for {module, beam} <- compiled, not :erlang.module_loaded(module), do: {module, [], beam}
  for {module, _, _} <- missing, :erlang.check_old_code(module), do: :code.soft_purge(module)

  with {:error, [{module, reason} | _]} <- :code.atomic_load(missing),
       do: refused.("not_loadable", "#{inspect(module)} of the agent cannot be loaded: #{reason}")
end

start = fn ->
  case Module.concat([agent]).start(order, sweep) do
    # The guardian of an agent that died has taken its name.
    :taken -> at_work.() || {"incomplete", "{}"}
    answer -> answer
  end
end

one_at_a_time.(fn ->
  {word, json} =
    with nil <- at_work.() do
      try do
        unless complete?.(),
          do: order |> Base.decode64!() |> :zlib.uncompress() |> URI.decode_query() |> load.()

        if complete?.(), do: start.(), else: {"incomplete", "{}"}
      catch
        {"refused", about} -> {"refused", about}
      end
    end

  IO.puts("FLYDEPLOY1 " <> word <> " " <> json)
end)
