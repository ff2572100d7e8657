defmodule FlyDeployAgent.StateTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Cell, Order, State, Vitals, Watch}

  @moduletag :tmp_dir

  test "the longer it waits in a state, the seldomer it looks for orders", %{tmp_dir: dir} do
    s = fresh(dir)
    {pauses, s} = Enum.map_reduce(1..200, s, fn _, s -> State.pause(s) end)
    assert hd(pauses) == 50
    assert pauses == Enum.sort(pauses)
    assert List.last(pauses) == 250
    assert {50, armed} = s |> State.enter(:armed, 1_000) |> State.pause()
    assert {100, _} = State.pause(%{armed | worker: {self(), make_ref()}})
  end

  defp fresh(dir) do
    on_exit(&Watch.close/0)

    form = %{
      id: String.duplicate("0", 16),
      url: "http://localhost",
      sha256: "",
      size: 1,
      otp_app: :fly_deploy
    }

    order = form |> URI.encode_query() |> :zlib.compress() |> Base.encode64() |> Order.decode()

    %State{
      order: order,
      dir: dir,
      cell: Cell.new(),
      deadline: 0,
      guardian: self(),
      watch: Watch.open(self()),
      vitals: Vitals.start(),
      boot: "1-2"
    }
  end
end
