defmodule FlyDeploy.ReapplyTest do
  use ExUnit.Case

  import ExUnit.CaptureLog

  alias FlyDeploy.Hook

  @no_bucket "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>"

  setup do
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listener)
    test = self()
    start_supervised!({Task, fn -> accept(listener, test) end})

    variables = %{
      "AWS_ACCESS_KEY_ID" => "id",
      "AWS_SECRET_ACCESS_KEY" => "secret",
      "AWS_ENDPOINT_URL_S3" => "http://127.0.0.1:#{port}",
      "BUCKET_NAME" => "bucket",
      "FLY_APP_NAME" => "my-app",
      "FLY_IMAGE_REF" => "registry.fly.io/my-app:1",
      "FLY_MACHINE_ID" => "m1",
      "RELEASE_ROOT" => "/nowhere"
    }

    System.put_env(variables)

    on_exit(fn ->
      for {name, _} <- variables, do: System.delete_env(name)
      for key <- [:running, :hook, :addressing, :image_code], do: Application.delete_env(:fly_deploy, key)
    end)

    :ok
  end

  # Answers each request once the test has said so.
  defp accept(listener, test) do
    {:ok, socket} = :gen_tcp.accept(listener)
    {:ok, _request} = :gen_tcp.recv(socket, 0)
    send(test, {:asked, self()})

    receive do
      :answer ->
        :gen_tcp.send(
          socket,
          "HTTP/1.1 404 X\r\ncontent-length: #{byte_size(@no_bucket)}\r\n\r\n#{@no_bucket}"
        )
    end

    :gen_tcp.close(socket)
    accept(listener, test)
  end

  defp reapplies(timeout),
    do:
      Task.async(fn -> capture_log(fn -> FlyDeploy.startup_reapply_current(:my_app, timeout: timeout) end) end)

  test "waits for the storage as long as it is told to, and no longer" do
    assert Task.await(reapplies(50), 60_000) =~ "[error] FlyDeploy could not reapply the hot upgrade: "
    assert %{my_app: {:failed, text}} = Hook.calls()
    assert text =~ "50 ms"
  end

  test "waits without an end, and says at error level that the bucket is missing" do
    hook = reapplies(:infinity)
    assert_receive {:asked, bucket}, 60_000
    assert Task.yield(hook, 0) == nil
    send(bucket, :answer)
    assert Task.await(hook, 60_000) =~ "[error] FlyDeploy could not reapply the hot upgrade: "
    assert %{my_app: {:failed, "127.0.0.1 has no bucket bucket: set AWS_BUCKET" <> _}} = Hook.calls()
  end
end
