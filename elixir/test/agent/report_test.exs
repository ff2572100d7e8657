defmodule FlyDeployAgent.ReportTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Report

  @moduletag :tmp_dir

  defp state(port, dir) do
    failure = fn n ->
      %{pid: self(), module: String, reason: "raised", exception: "** (E) #{n}", stack: ["a.ex:1: A.b/2"]}
    end

    %{
      order: %{
        id: "01TEST",
        report_url: "http://127.0.0.1:#{port}/b/report?X-Amz-Signature=5ec4e7",
        cacerts: nil
      },
      dir: dir,
      result: %{outcome: :rolled_back, targets: [], killed: [self()], failures: Enum.map(1..300, failure)}
    }
  end

  # Takes one upload, answers it with `status`, and sends the body to the test.
  defp storage(status) do
    test = self()
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false, packet: :http_bin])
    {:ok, port} = :inet.port(listener)

    start_supervised!(
      {Task,
       fn ->
         {:ok, socket} = :gen_tcp.accept(listener)
         {:ok, {:http_request, :PUT, _, _}} = :gen_tcp.recv(socket, 0)
         length = headers(socket, 0)
         :ok = :inet.setopts(socket, packet: :raw)
         {:ok, body} = :gen_tcp.recv(socket, length)
         send(test, {:stored, body})
         :gen_tcp.send(socket, "HTTP/1.1 #{status} X\r\nContent-Length: 0\r\n\r\n")
         :gen_tcp.close(socket)
       end},
      id: port
    )

    port
  end

  defp headers(socket, length) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, {:http_header, _, :"Content-Length", _, value}} -> headers(socket, String.to_integer(value))
      {:ok, {:http_header, _, _, _, _}} -> headers(socket, length)
      {:ok, :http_eoh} -> length
    end
  end

  test "stores every failure, where the status has the first of each kind", %{tmp_dir: dir} do
    assert 200 |> storage() |> state(dir) |> Report.upload() == "stored"
    assert_received {:stored, body}
    {:ok, report} = body |> :zlib.gunzip() |> FlyDeploy.Json.decode()

    assert %{"outcome" => "rolled_back", "failures_total" => 300, "failures" => failures, "killed" => [_]} =
             report

    assert Enum.map(failures, & &1["exception"]) == for(n <- 1..300, do: "** (E) #{n}")
    assert %{"module" => "String", "stack" => ["a.ex:1: A.b/2"], "state_before" => nil} = hd(failures)
  end

  test "says why it is not stored, and never the URL's query", %{tmp_dir: dir} do
    assert 403 |> storage() |> state(dir) |> Report.upload() == "the storage answered 403"
    assert Report.upload(state(storage(200), Path.join(dir, "gone"))) =~ "no such file or directory"

    {:ok, closed} = :gen_tcp.listen(0, [])
    {:ok, unused} = :inet.port(closed)
    :gen_tcp.close(closed)
    text = unused |> state(dir) |> Report.upload()
    assert text =~ "econnrefused"
    refute text =~ "5ec4e7"
  end

  test "is due where something failed and the order tells where it goes" do
    order = %{report_url: "http://127.0.0.1/"}
    assert Report.due?(order, %{failures: [%{}], killed: []})
    assert Report.due?(order, %{failures: [], killed: [self()]})
    refute Report.due?(order, %{failures: [], killed: []})
    refute Report.due?(%{report_url: nil}, %{failures: [%{}], killed: []})
  end
end
