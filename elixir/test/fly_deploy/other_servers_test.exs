defmodule FlyDeploy.VersityTest do
  # versitygw, an S3 server that shares no code with this repository (`make setup` puts it into bin), as a storage in which buckets have names
  # of their own below the server's. In front of it stands what refuses the bucket's name in the path, as Tigris does for newer buckets.
  use ExUnit.Case

  alias FlyDeploy.Storage

  @domain "storage.test"
  @key "releases/my_app-current.json"

  @tag :tmp_dir
  test "an S3 server that names buckets in the host only is read, written and signed for", %{tmp_dir: dir} do
    {settings, refused} = start(dir)
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

  defp start(dir) do
    File.mkdir_p!(Path.join(dir, "root/mine"))
    server = port()

    versity =
      Port.open({:spawn_executable, versitygw()}, [
        :binary,
        :stderr_to_stdout,
        args:
          ["--port", "127.0.0.1:#{server}", "--region", "auto", "--quiet"] ++
            ["--virtual-domain", @domain, "posix", Path.join(dir, "root")],
        env: [{~c"ROOT_ACCESS_KEY", ~c"id"}, {~c"ROOT_SECRET_KEY", ~c"secret"}]
      ])

    {:os_pid, pid} = Port.info(versity, :os_pid)
    on_exit(fn -> System.cmd("kill", ["-9", "#{pid}"]) end)
    refused = start_supervised!({Agent, fn -> 0 end})
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, front} = :inet.port(listener)
    start_supervised!({Task, fn -> accept(listener, server, refused) end})
    names()

    settings = %{
      endpoint: "http://#{@domain}:#{front}",
      region: "auto",
      bucket: "mine",
      access_key_id: "id",
      secret_access_key: "secret",
      session_token: nil,
      cacerts: nil
    }

    {settings, refused}
  end

  defp versitygw do
    here = Path.expand("../../../bin/versitygw", __DIR__)
    path = System.find_executable("versitygw") || (File.exists?(here) && here)
    path || flunk("versitygw is missing: run `make setup`")
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
      to = connect(server)
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

  # It may not listen yet.
  defp connect(server) do
    case :gen_tcp.connect({127, 0, 0, 1}, server, [:binary, active: false]) do
      {:ok, socket} -> socket
      {:error, :econnrefused} -> connect(server)
    end
  end

  defp pass_on(a, b) do
    receive do
      {:tcp, ^a, data} -> :gen_tcp.send(b, data) && pass_on(a, b)
      {:tcp, ^b, data} -> :gen_tcp.send(a, data) && pass_on(a, b)
      {:tcp_closed, socket} when socket in [a, b] -> Enum.each([a, b], &:gen_tcp.close/1)
    end
  end
end
