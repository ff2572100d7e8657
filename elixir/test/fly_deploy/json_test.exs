defmodule FlyDeploy.JsonTest do
  use ExUnit.Case, async: true

  alias FlyDeploy.Json

  doctest Json

  test "reads what the writer writes" do
    value = %{"a" => [1, -2, 0, 1.5, true, false, nil, "text \\ \" / é 漢 🎉"], "b" => %{"c" => %{}, "d" => []}}
    assert value |> FlyDeployAgent.Json.encode() |> Json.decode() == {:ok, value}
  end

  for {text, value} <- [
        {"0", 0},
        {"-0", 0},
        {"-12", -12},
        {"123456789012345678901234567890", 123_456_789_012_345_678_901_234_567_890},
        {"1.25", 1.25},
        {"1e2", 100.0},
        {"-1.5E-1", -0.15},
        {"2E+1", 20.0},
        {" \t\r\n null \n", nil},
        {~S("\"\\\/\b\f\n\r\t"), "\"\\/\b\f\n\r\t"},
        {~S("\u00e9\u6F22\ud83c\udf89"), "é漢🎉"},
        {~S({"a":1,"a":2}), %{"a" => 2}},
        {"[ ]", []},
        {"{ }", %{}},
        {"[[],{}]", [[], %{}]}
      ] do
    test "reads #{inspect(text)}" do
      assert Json.decode(unquote(text)) === {:ok, unquote(Macro.escape(value))}
    end
  end

  # Each is refused by RFC 8259.
  for text <- [
        "",
        " ",
        "nul",
        "truefalse",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "0x10",
        "NaN",
        "1e400",
        "'a'",
        ~S("a),
        "\"a\nb\"",
        ~S("\x"),
        ~S("\u12"),
        ~S("\ud83c"),
        ~S("\ud83c\u0041"),
        ~S("\udf89"),
        "[1,]",
        "[1 2]",
        "[",
        "{",
        ~S({"a"}),
        ~S({"a":}),
        ~S({a:1}),
        ~S({"a":1,}),
        ~S({"a":1}}),
        "<html>not found</html>",
        <<?", 0xFF, ?">>,
        <<0xEF, 0xBB, 0xBF, ?1>>
      ] do
    test "refuses #{inspect(text)}" do
      assert {:error, "no valid JSON at byte " <> _} = Json.decode(unquote(text))
    end
  end

  test "refuses a number without end, at once" do
    assert {:error, "no valid JSON at byte 309"} = Json.decode(String.duplicate("9", 4_000_000))
  end

  test "refuses what is nested without end" do
    assert {:error, _} = Json.decode(String.duplicate("[", 1_000_000))
    assert {:ok, _} = Json.decode(String.duplicate("[", 60) <> String.duplicate("]", 60))
  end

  test "no beginning of a document is read as a document" do
    text =
      ~S({"image_ref": "registry.fly.io/a:1", "hot_upgrade": {"version": "1.0", "size": 12}, "x": [1, "é"]})

    assert {:ok, _} = Json.decode(text)
    for n <- 0..(byte_size(text) - 1), do: assert({:error, _} = Json.decode(binary_part(text, 0, n)))
  end

  # A record names an upgrade for each machine: 100 bytes or a megabyte, each byte costs the same.
  test "takes as much for each byte of a large text as for each of a small one" do
    # The first call loads the code.
    {:ok, _} = Json.decode(record_of(1))
    costs = for machines <- [30, 300, 3_000], do: reductions_a_byte(record_of(machines))
    assert Enum.max(costs) < 2 * Enum.min(costs), inspect(costs)
  end

  defp record_of(machines) do
    upgrade = %{
      "version" => "2.0.0",
      "sha256" => String.duplicate("a", 64),
      "size" => 123_456,
      "tarball_url" => "https://fly.storage.tigris.dev/bucket/releases/counter-2.0.0.tar.gz",
      "message" => "a \"quoted\" text, é"
    }

    FlyDeployAgent.Json.encode(%{"machine_upgrades" => Map.new(1..machines, &{"m#{&1}", upgrade})})
  end

  defp reductions_a_byte(text) do
    task =
      Task.async(fn ->
        {:reductions, before} = Process.info(self(), :reductions)
        {:ok, _} = Json.decode(text)
        {:reductions, since} = Process.info(self(), :reductions)
        since - before
      end)

    Task.await(task, :infinity) / byte_size(text)
  end
end
