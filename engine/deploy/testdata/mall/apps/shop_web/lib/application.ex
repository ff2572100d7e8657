defmodule ShopWeb.Application do
  use Application

  def start(_type, _args), do: Supervisor.start_link([ShopWeb.Door], strategy: :one_for_one)
end
