defmodule ShopWeb.Door do
  @moduledoc "Listens on the machine's port, which tells that the application is up."
  use GenServer

  @version String.to_integer(System.get_env("MALL_VERSION", "1"))
  @vsn @version

  def version, do: @version
  def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)
  def init(_), do: :gen_tcp.listen(String.to_integer(System.fetch_env!("PORT")), [:binary, reuseaddr: true])
end
