defmodule FlyDeploy.StorageTest do
  use ExUnit.Case

  alias FlyDeploy.Storage

  # Answers requests in turn as the test says, by `{status, body}` for the host and path that it is given, and tells it each.
  setup do
    test = self()
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listener)
    start_supervised!({Task, fn -> accept(listener, test) end})

    lookup = :inet_db.res_option(:lookup)
    :inet_db.set_lookup([:file | lookup])
    :inet_db.add_host({127, 0, 0, 1}, [~c"storage.test", ~c"mine.storage.test"])

    on_exit(fn ->
      :inet_db.set_lookup(lookup)
      :inet_db.del_host({127, 0, 0, 1})
      Application.delete_env(:fly_deploy, :addressing)
    end)

    %{settings: settings("http://storage.test:#{port}"), port: port}
  end

  defp settings(endpoint, more \\ %{}) do
    settings = %{
      endpoint: endpoint,
      region: "auto",
      bucket: "mine",
      access_key_id: "id",
      secret_access_key: "secret"
    }

    settings |> Map.merge(%{session_token: nil, cacerts: nil}) |> Map.merge(more)
  end

  defp accept(listener, test) do
    {:ok, socket} = :gen_tcp.accept(listener)
    {:ok, request} = :gen_tcp.recv(socket, 0)
    send(test, {:asked, self(), request})

    receive do
      {:answer, {status, body}} ->
        :gen_tcp.send(socket, "HTTP/1.1 #{status} X\r\ncontent-length: #{byte_size(body)}\r\n\r\n#{body}")
    end

    :gen_tcp.close(socket)
    accept(listener, test)
  end

  # Reads an object while the test answers; gives what was read, and the requests.
  defp read(settings, answers) do
    reader = Task.async(fn -> Storage.read(settings, "releases/a.json") end)

    requests =
      for answer <- answers do
        assert_receive {:asked, server, request}, 30_000
        send(server, {:answer, answer})
        request
      end

    {Task.await(reader, 30_000), requests}
  end

  defp error(code), do: "<Error><Code>#{code}</Code><Message>no</Message></Error>"

  test "an object that is missing is not a bucket that is missing", %{settings: settings} do
    assert {:not_found, _} = read(settings, [{404, error("NoSuchKey")}])
    assert {:not_found, _} = read(settings, [{404, ""}])

    assert {{:error, "storage.test has no bucket mine: " <> _}, _} =
             read(settings, [{404, error("NoSuchBucket")}])
  end

  test "a bucket that may only be named in the host is found there, and then at once", %{
    settings: settings,
    port: port
  } do
    assert {{:ok, "found"}, [path, hosted]} = read(settings, [{403, error("AccessDenied")}, {200, "found"}])
    assert path =~ "GET /mine/releases/a.json " and path =~ "host: storage.test:#{port}"
    assert hosted =~ "GET /releases/a.json " and hosted =~ "host: mine.storage.test:#{port}"
    assert {{:ok, "again"}, [hosted]} = read(settings, [{200, "again"}])
    assert hosted =~ "host: mine.storage.test"
    assert Storage.presign(settings, "releases/a", 60) =~ "http://mine.storage.test:#{port}/releases/a?"
  end

  test "keys that may not read are refused as they were at first", %{settings: settings, port: port} do
    assert {{:error, text}, _} = read(settings, [{403, error("AccessDenied")}, {404, error("NoSuchBucket")}])
    assert text =~ "storage.test answered 403 AccessDenied: the keys may not read it"
    # Wrong keys are wrong everywhere, and an address in numbers has no names below it.
    assert {{:error, text}, _} = read(settings, [{403, error("InvalidAccessKeyId")}])
    assert text =~ "403 InvalidAccessKeyId"
    assert {{:error, _}, _} = read(settings("http://127.0.0.1:#{port}"), [{403, error("AccessDenied")}])
    refute Application.get_env(:fly_deploy, :addressing)
  end

  test "keys that expire are sent with their token, signed", %{settings: settings} do
    settings = %{settings | session_token: "token/of=session"}
    assert {{:ok, ""}, [request]} = read(settings, [{200, ""}])
    assert request =~ "x-amz-security-token: token/of=session\r\n"

    assert request =~
             "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-tigris-consistent"

    assert Storage.presign(settings, "releases/a", 60) =~
             "&X-Amz-Security-Token=token%2Fof%3Dsession&X-Amz-SignedHeaders=host&"
  end
end
