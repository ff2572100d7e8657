defmodule FlyDeploy.OtherServersTest do
  # S3 servers that share no code with this repository, as a storage in which buckets have names of their own below the server's: versitygw
  # (`make setup` puts it into bin), and SeaweedFS (`make soak` does). In front of them stands what refuses the bucket's name in the path, as
  # Tigris does for newer buckets.
  use ExUnit.Case

  alias FlyDeploy.Storage

  @domain "storage.test"
  @key "releases/my_app-current.json"

  @tag :tmp_dir
  test "versitygw is read and written and signed for where buckets are named in the host only", %{
    tmp_dir: dir
  } do
    is_read_and_written(dir, &versitygw/2)
  end

  @tag :tmp_dir
  @tag :soak
  @tag timeout: 600_000
  test "SeaweedFS is read and written and signed for where buckets are named in the host only", %{
    tmp_dir: dir
  } do
    is_read_and_written(dir, &seaweedfs/2)
  end

  defp is_read_and_written(dir, server) do
    {settings, refused} = start(dir, server)
    assert Storage.read(settings, @key) == :not_found
    assert Application.get_env(:fly_deploy, :addressing) == :virtual_host
    assert Storage.write(settings, @key, "one") == :ok
    assert {:ok, %{body: "one", etag: etag}} = Storage.document(settings, @key)
    assert Storage.document(settings, @key, etag) == :unchanged

    sha256 = :sha256 |> :crypto.hash("one") |> Base.encode16(case: :lower)
    file = Path.join(dir, "downloaded")
    assert Storage.download(settings, @key, file, 3, sha256) == :ok
    assert File.read!(file) == "one"

    url = Storage.presign(settings, @key, 60)
    assert URI.parse(url).host == "mine." <> @domain
    assert FlyDeployAgent.Http.get(url, [], "", &{:cont, &2 <> &1}) == {:ok, "one"}

    assert {:error, text} = Storage.read(%{settings | secret_access_key: "wrong"}, @key)
    assert text =~ "403 SignatureDoesNotMatch"
    assert Storage.delete(settings, @key) == :ok
    assert Storage.read(settings, @key) == :not_found
    assert Agent.get(refused, & &1) == 1
  end

  defp start(dir, server) do
    port = port()
    {program, args, env} = server.(dir, port)

    server =
      Port.open({:spawn_executable, program}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        args: args,
        env: for({name, value} <- env, do: {String.to_charlist(name), String.to_charlist(value)})
      ])

    {:os_pid, pid} = Port.info(server, :os_pid)
    on_exit(fn -> System.cmd("kill", ["-9", "#{pid}"]) end)

    settings = %{
      endpoint: "http://127.0.0.1:#{port}",
      region: "auto",
      bucket: "mine",
      access_key_id: "id",
      secret_access_key: "secret",
      session_token: nil,
      cacerts: nil
    }

    until_ready(settings, server)
    refused = start_supervised!({Agent, fn -> 0 end})
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, front} = :inet.port(listener)
    start_supervised!({Task, fn -> accept(listener, port, refused) end})
    names()
    {%{settings | endpoint: "http://#{@domain}:#{front}"}, refused}
  end

  # SeaweedFS makes the bucket then.
  defp until_ready(settings, server) do
    with {:error, _} <- Storage.write(settings, "releases/ready", "") do
      receive do
        {^server, {:exit_status, status}} -> flunk("it has ended with #{status}: #{said(server)}")
      after
        200 -> until_ready(settings, server)
      end
    end
  end

  defp said(server) do
    receive do
      {^server, {:data, text}} -> text <> said(server)
    after
      0 -> ""
    end
  end

  defp versitygw(dir, port) do
    root = Path.join(dir, "root")
    File.mkdir_p!(Path.join(root, "mine"))

    args = ~w(--port 127.0.0.1:#{port} --region auto --quiet --virtual-domain #{@domain} posix) ++ [root]
    {found("versitygw", "make setup"), args, %{"ROOT_ACCESS_KEY" => "id", "ROOT_SECRET_KEY" => "secret"}}
  end

  defp seaweedfs(dir, port) do
    keys = Path.join(dir, "keys.json")

    File.write!(keys, """
    {"identities":[{"name":"flydeploy","credentials":[{"accessKey":"id","secretKey":"secret"}],"actions":["Admin","Read","List","Write"]}]}
    """)

    # A socket's path may have 107 bytes.
    socket = Path.join(System.tmp_dir!(), "weed-#{port}-")
    on_exit(fn -> for name <- ~w(s3 filer), do: File.rm(socket <> name) end)

    ports =
      for name <- ~w(master volume filer s3), kind <- ~w(port port.grpc) do
        "-#{name}.#{kind}=#{if {name, kind} == {"s3", "port"}, do: port, else: port()}"
      end

    args =
      ~w(server -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false -volume.max=100 -filer -s3 -s3.domainName=#{@domain}) ++
        ~w(-s3.port.iceberg=0 -s3.port.lance=0 -s3.localSocket=#{socket}s3 -filer.localSocket=#{socket}filer) ++
        ["-dir=#{dir}", "-s3.config=#{keys}" | ports]

    {found("weed", "make bin/weed"), args, %{}}
  end

  defp found(name, target) do
    here = Path.expand("../../../bin/#{name}", __DIR__)
    path = (File.exists?(here) && here) || System.find_executable(name)
    path || flunk("#{name} is missing: run `#{target}`")
  end

  # One that is free now.
  defp port do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    port
  end

  defp names do
    lookup = :inet_db.res_option(:lookup)
    :inet_db.set_lookup([:file | lookup])
    :inet_db.add_host({127, 0, 0, 1}, [~c"storage.test", ~c"mine.storage.test"])

    on_exit(fn ->
      :inet_db.set_lookup(lookup)
      :inet_db.del_host({127, 0, 0, 1})
      Application.delete_env(:fly_deploy, :addressing)
    end)
  end

  # One request at a time.
  defp accept(listener, server, refused) do
    {:ok, socket} = :gen_tcp.accept(listener)
    {:ok, head} = :gen_tcp.recv(socket, 0)

    if head =~ ~r/^host: mine\./im do
      {:ok, to} = :gen_tcp.connect({127, 0, 0, 1}, server, [:binary, active: false])
      :ok = :gen_tcp.send(to, head)
      :ok = :inet.setopts(socket, active: true)
      :ok = :inet.setopts(to, active: true)
      pass_on(socket, to)
    else
      Agent.update(refused, &(&1 + 1))
      body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
      :gen_tcp.send(socket, "HTTP/1.1 403 X\r\ncontent-length: #{byte_size(body)}\r\n\r\n#{body}")
      :gen_tcp.close(socket)
    end

    accept(listener, server, refused)
  end

  defp pass_on(a, b) do
    receive do
      {:tcp, ^a, data} -> :gen_tcp.send(b, data) && pass_on(a, b)
      {:tcp, ^b, data} -> :gen_tcp.send(a, data) && pass_on(a, b)
      {:tcp_closed, socket} when socket in [a, b] -> Enum.each([a, b], &:gen_tcp.close/1)
    end
  end
end
