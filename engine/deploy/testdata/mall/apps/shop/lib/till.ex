defmodule Shop.Till do
  @moduledoc "Version 2 counts its sales in another shape."
  use GenServer

  @version String.to_integer(System.get_env("MALL_VERSION", "1"))
  @vsn @version

  def version, do: @version
  def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)
  def sell, do: GenServer.call(__MODULE__, :sell)

  if @version == 1 do
    def init(_), do: {:ok, 0}
    def handle_call(:sell, _from, sold), do: {:reply, sold + 1, sold + 1}
  else
    def init(_), do: {:ok, %{sold: 0}}
    def handle_call(:sell, _from, s), do: {:reply, {:sold, s.sold + 1}, %{s | sold: s.sold + 1}}
    def code_change(1, sold, _extra), do: {:ok, %{sold: sold}}
  end
end
