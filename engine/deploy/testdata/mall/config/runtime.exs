import Config

config :shop_web, secret: System.fetch_env!("SECRET_KEY_BASE")
